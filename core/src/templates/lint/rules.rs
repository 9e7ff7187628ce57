//! The table of the rules.

use serde::Serialize;
use utoipa::ToSchema;

use super::Severity;
use crate::error::ErrorKind;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LintRule)]
pub struct Rule {
    /// Its id, which stays.
    #[schema(example = "body_too_long")]
    pub id: &'static str,
    /// How much what it finds matters.
    pub severity: Severity,
    /// What it asks for, and why.
    #[schema(example = "The body has at most 1,024 characters.")]
    pub explanation: &'static str,
    /// The kind of error that it is refused with.
    #[serde(skip)]
    pub(super) kind: ErrorKind,
}

macro_rules! rules {
    ($($rule:ident $id:literal $severity:ident $kind:ident $explanation:literal;)+) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RuleId {
            $(#[doc = $explanation] $rule,)+
        }

        /// Every rule, in the order of the documentation.
        pub const RULES: &[Rule] = &[
            $(Rule {
                id: $id,
                severity: Severity::$severity,
                explanation: $explanation,
                kind: ErrorKind::$kind,
            },)+
        ];
    };
}

rules! {
    NameCharacters "name_characters" Error TemplateInvalid
        "The name consists of lower case letters, digits and underscores, and has at least one.";
    NameTooLong "name_too_long" Error TemplateTooLong
        "The name has at most 512 characters.";
    LanguageUnknown "language_unknown" Error TemplateInvalid
        "The language is one of those that WhatsApp has templates in, written as there.";
    LanguageUncertain "language_uncertain" Warning TemplateInvalid
        "Not every source of the Cloud API knows the language: it may be refused.";
    CategoryUnknown "category_unknown" Error TemplateInvalid
        "The category is AUTHENTICATION, MARKETING or UTILITY.";
    TtlRange "ttl_range" Error TemplateInvalid
        "The time to live is 30 to 900 seconds for authentication, 30 to 43,200 for utility and 43,200 to 2,592,000 for marketing; -1 is thirty days.";
    ComponentsCount "components_count" Error TemplateInvalid
        "There is at least one component, and no more than twenty.";
    ComponentUnknown "component_unknown" Error TemplateInvalid
        "A component is an object whose type is one that templates have.";
    ComponentRepeated "component_repeated" Error TemplateInvalid
        "A template has at most one component of each type.";
    MemberInvalid "member_invalid" Error TemplateInvalid
        "A member of a component has the type that the Cloud API expects there.";
    BodyRequired "body_required" Error TemplateBodyInvalid
        "A template has a body with a text.";
    BodyTooLong "body_too_long" Error TemplateTooLong
        "The body has at most 1,024 characters.";
    ExpressionMalformed "expression_malformed" Error TemplateInvalid
        "An expression in Handlebars begins with {{, ends with }} and has a path or a helper with its values in between.";
    ExpressionUnsupported "expression_unsupported" Error TemplateInvalid
        "A template has expressions with one value each: no blocks, partials, comments or raw output, because the text around them is what the network approves.";
    HelperUnknown "helper_unknown" Error TemplateInvalid
        "A helper is one of default, upper, truncate, date, money and plural.";
    HelperArguments "helper_arguments" Error TemplateInvalid
        "A helper has the values that it takes, and no others.";
    ExpressionPlace "expression_place" Error TemplateInvalid
        "Expressions stand in the texts of header, body and cards, at the end of a button's address, or in the place of a code to copy.";
    SampleMissing "sample_missing" Error TemplateInvalid
        "The samples have a value for every expression: reviewers judge a template by them.";
    HeaderTooLong "header_too_long" Error TemplateTooLong
        "The text of the header has at most 60 characters.";
    HeaderVariables "header_variables" Error TemplateHeaderInvalid
        "The text of the header has at most one variable.";
    FooterTooLong "footer_too_long" Error TemplateTooLong
        "The footer has at most 60 characters.";
    FooterVariables "footer_variables" Error TemplateFooterInvalid
        "The footer has no variables.";
    PlaceholderMalformed "placeholder_malformed" Error TemplateBodyInvalid
        "A variable is a number or a name in double braces: letters, digits and underscores, and no other characters.";
    VariablesMixed "variables_mixed" Error TemplateBodyInvalid
        "Positional variables are numbers and named ones are names, as parameter_format says.";
    VariablesSequence "variables_sequence" Error TemplateBodyInvalid
        "Positional variables are numbered from 1 without a gap.";
    VariableFirst "variable_first" Error TemplateVariableAtEdge
        "The body does not begin with a variable.";
    VariableLast "variable_last" Error TemplateVariableAtEdge
        "The body does not end with a variable.";
    VariablesAdjacent "variables_adjacent" Error TemplateBodyInvalid
        "There is a word between two variables.";
    VariableRatio "variable_ratio" Error TemplateTooManyVariables
        "The body has at least as many words as variables.";
    ExampleMissing "example_missing" Error TemplateInvalid
        "There is an example for every variable: reviewers judge a template by them.";
    ButtonsTooMany "buttons_too_many" Error TemplateInvalid
        "There are at most ten buttons.";
    UrlButtonsTooMany "url_buttons_too_many" Error TemplateInvalid
        "There are at most two buttons with an address.";
    ButtonTextTooLong "button_text_too_long" Error TemplateTooLong
        "The text of a button has at most 25 characters.";
    QuickRepliesApart "quick_replies_apart" Error TemplateInvalid
        "Quick replies stand together, before or after all other buttons.";
    OtpCategory "otp_category" Error TemplateInvalid
        "A button with a one-time password is for authentication templates, which have exactly one button.";
    HeaderFormatUnknown "header_format_unknown" Error TemplateHeaderInvalid
        "The format of a header is one of TEXT, IMAGE, VIDEO, GIF, DOCUMENT, LOCATION and PRODUCT.";
    HeaderSampleMissing "header_sample_missing" Warning TemplateHeaderInvalid
        "A header with a file has a sample of it: the network's reviewers ask for one.";
    PhoneButtonsTooMany "phone_buttons_too_many" Error TemplateInvalid
        "There is at most one button that calls a number.";
    PhoneButtonInvalid "phone_button_invalid" Error TemplateInvalid
        "The number of a button that calls has at most 20 characters, and digits among them.";
    CopyCodeButtonsTooMany "copy_code_buttons_too_many" Error TemplateInvalid
        "There is at most one button that copies a code.";
    CopyCodeTooLong "copy_code_too_long" Warning TemplateInvalid
        "The code to copy has at most 15 characters: not every source of the Cloud API allows 20.";
    ButtonUrlInvalid "button_url_invalid" Error TemplateInvalid
        "The address of a button begins with http:// or https:// and has at most 2,000 characters.";
    ButtonUrlVariable "button_url_variable" Error TemplateInvalid
        "The address of a button has at most one variable, at its end.";
    ButtonUrlSample "button_url_sample" Warning TemplateInvalid
        "The address of a button with a variable has an example.";
    ButtonUrlChat "button_url_chat" Warning TemplateInvalid
        "The address of a button does not lead back into WhatsApp: reviewers turn wa.me down.";
    ButtonTextRepeated "button_text_repeated" Error TemplateInvalid
        "No two buttons have the same text: the person's answer would not say which.";
    CarouselCards "carousel_cards" Error TemplateInvalid
        "A carousel has two to ten cards.";
    CarouselUneven "carousel_uneven" Error TemplateInvalid
        "The cards of a carousel have the same kinds of components and buttons, in the same order.";
    CardBodyTooLong "card_body_too_long" Error TemplateTooLong
        "The body of a carousel's card has at most 160 characters.";
    OfferTooLong "offer_too_long" Error TemplateTooLong
        "The text of a limited-time offer has at most 16 characters, and the body beside it 600.";
    CodeExpiration "code_expiration" Error TemplateInvalid
        "A one-time password is said to be good for 1 to 90 minutes.";
    BodySpaces "body_spaces" Warning TemplateBodyInvalid
        "The body has no more than four spaces and no more than two line breaks in a row: the network may turn it down.";
    DuplicateText "duplicate_text" Warning TemplateInvalid
        "No two templates of an account say the same in body and footer in one language: the network turns the second down as a duplicate.";
}

impl RuleId {
    /// Its row.
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }
}

/// The kind of error that the rule with this id is refused with.
pub(super) fn kind_of(id: &str) -> Option<ErrorKind> {
    RULES.iter().find(|rule| rule.id == id).map(|rule| rule.kind)
}
