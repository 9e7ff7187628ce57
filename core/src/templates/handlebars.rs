//! Texts in Handlebars.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a parameter is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateVariable)]
pub struct Variable {
    /// The text that it stands in, as a JSON pointer.
    #[schema(example = "/components/0/text")]
    pub pointer: String,
    /// The parameter: a number, or a name.
    #[schema(example = "1")]
    pub parameter: String,
    /// The expression that its value comes from.
    #[schema(example = "{{customer.first_name}}")]
    pub expression: String,
}
