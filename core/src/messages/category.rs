//! What a message is for. Prices, consent and quiet hours go by it.

/// The categories of the Cloud API. A message without a template is [`Category::Service`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = MessageCategory)]
pub enum Category {
    /// Part of a conversation that the person began.
    Service,
    /// Follows up on something that the person did: an order, an appointment.
    Utility,
    /// Brings a one-time password.
    Authentication,
    /// Everything else that a template says.
    Marketing,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Service, Self::Utility, Self::Authentication, Self::Marketing];

    /// The name that it is stored and shown by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::Marketing => "marketing",
        }
    }

    /// The category with this name, in either case: the Cloud API's templates have it in capitals.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_is_found_by_its_name_in_either_case() {
        for category in Category::ALL {
            assert_eq!(Category::parse(category.name()), Some(category));
            assert_eq!(Category::parse(&category.name().to_uppercase()), Some(category));
        }
        assert_eq!(Category::parse("transactional"), None);
    }
}
