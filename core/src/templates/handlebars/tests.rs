use proptest::prelude::*;
use serde_json::json;

use super::*;

fn error(source: &str) -> SyntaxError {
    parse(source).unwrap_err()
}

fn texts(source: &str, data: &Value, language: &str) -> Result<String, DataError> {
    let scope = Scope::new(data, language);
    parse(source)
        .unwrap_or_else(|error| panic!("{source}: {error}"))
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Expression(expression) => scope.text(expression),
        })
        .collect()
}

/// What texts come to in a language, without the marks and blanks that are not seen.
fn seen(source: &str, data: &Value, language: &str) -> String {
    let text = texts(source, data, language).unwrap_or_else(|error| panic!("{source}: {error}"));
    let text = text.replace(['\u{a0}', '\u{202f}'], " ");
    text.replace(['\u{200e}', '\u{200f}'], "")
}

#[test]
fn a_text_is_what_stands_between_its_expressions() {
    let pieces = parse("Hi {{customer.name}}, order {{ order.id }} ships {{date ship_at}}.").unwrap();
    let shown: Vec<&str> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Expression(expression) => expression.source.as_str(),
        })
        .collect();
    assert_eq!(shown, ["Hi ", "{{customer.name}}", ", order ", "{{ order.id }}", " ships ", "{{date ship_at}}", "."]);
    let data = json!({
        "customer": {"name": "Ana"}, "order": {"id": 17}, "ship_at": "2026-11-25T09:00:00Z",
    });
    let whole = seen("Hi {{customer.name}}, order {{ order.id }} ships {{date ship_at}}.", &data, "en_US");
    assert_eq!(whole, "Hi Ana, order 17 ships November 25, 2026.");
}

#[test]
fn what_templates_have_not_is_refused_with_line_and_column() {
    for (source, fault, line, column, says) in [
        ("Hi {{{name}}}", Fault::Unsupported, 1, 4, "no raw output"),
        ("Hi {{&name}}", Fault::Unsupported, 1, 4, "no raw output"),
        ("Hi\n {{#if name}}x{{/if}}", Fault::Unsupported, 2, 2, "no blocks"),
        ("{{#each items}}", Fault::Unsupported, 1, 1, "no blocks"),
        ("a {{else}} b", Fault::Unsupported, 1, 5, "no blocks"),
        ("a {{> footer}}", Fault::Unsupported, 1, 3, "no partials"),
        ("ä {{! note }}", Fault::Unsupported, 1, 3, "no comments"),
        ("a {{~name}}", Fault::Unsupported, 1, 3, "takes blanks away"),
        ("a {{name~}}", Fault::Unsupported, 1, 9, "takes blanks away"),
        ("a {{@index}}", Fault::Unsupported, 1, 5, "no data with @"),
        ("a {{this.name}}", Fault::Unsupported, 1, 5, "begin with a name"),
        ("a {{../name}}", Fault::Unsupported, 1, 5, "begin with a name"),
        ("a \\{{name}}", Fault::Unsupported, 1, 3, "stand for braces"),
        ("a {{uper name}}", Fault::HelperUnknown, 1, 5, "there is \"upper\""),
        ("a {{shout name}}", Fault::HelperUnknown, 1, 5, "there are default, upper, truncate"),
        ("a {{upper (shout name)}}", Fault::HelperUnknown, 1, 12, "no helper \"shout\""),
        ("a {{upper}}", Fault::Arguments, 1, 5, "takes 1 values"),
        ("a {{upper a b}}", Fault::Arguments, 1, 13, "no more than 1"),
        ("a {{upper \"x\"}}", Fault::Arguments, 1, 11, "place in your data"),
        ("a {{truncate a 0}}", Fault::Arguments, 1, 16, "from 1 to 1024"),
        ("a {{truncate a \"5\"}}", Fault::Arguments, 1, 16, "from 1 to 1024"),
        ("a {{date a \"huge\"}}", Fault::Arguments, 1, 12, "one of \"short\""),
        ("a {{date a zone=\"Mars/Base\"}}", Fault::Arguments, 1, 12, "time zone"),
        ("a {{date a locale=\"-\"}}", Fault::Arguments, 1, 12, "language tag"),
        ("a {{date a place=\"x\"}}", Fault::Arguments, 1, 12, "it takes zone, locale"),
        ("a {{money a \"euro\"}}", Fault::Arguments, 1, 13, "three capital letters"),
        ("a {{money a}}", Fault::Arguments, 1, 5, "takes 2 values"),
        ("a {{plural a one=\"x\"}}", Fault::Arguments, 1, 5, "\"other\""),
        ("a {{plural a other=b}}", Fault::Arguments, 1, 14, "quotation marks"),
        ("a {{plural a other=\"x\" other=\"y\"}}", Fault::Arguments, 1, 24, "given twice"),
        ("a {{default a \"\"}}", Fault::Arguments, 1, 15, "not empty"),
        ("a {{customer.name b}}", Fault::Malformed, 1, 19, "helper missing"),
        ("a {{1}}", Fault::Malformed, 1, 5, "syntax \"cloud\""),
        ("a {{\"x\"}}", Fault::Malformed, 1, 5, "without braces"),
        ("a {{}}", Fault::Malformed, 1, 3, "no expression"),
        ("a {{ name", Fault::Malformed, 1, 3, "not closed"),
        ("a {{name}", Fault::Malformed, 1, 9, "expected }}"),
        ("a {{name}}}", Fault::Malformed, 1, 11, "too many"),
        ("a {{a..b}}", Fault::Unsupported, 1, 5, "begin with a name"),
        ("a {{upper \"x}}", Fault::Malformed, 1, 11, "not closed"),
        ("a {{upper (upper x}}", Fault::Malformed, 1, 11, "parenthesis"),
        ("a {{upper (x)}}", Fault::HelperUnknown, 1, 12, "no helper"),
        ("a {{x.[]}}", Fault::Malformed, 1, 7, "at least one character"),
    ] {
        let found = error(source);
        assert_eq!((found.fault, found.line, found.column), (fault, line, column), "{source}: {found}");
        assert!(found.message.contains(says), "{source}: {found}");
    }
    let deep = format!("{{{{upper {}x{}}}}}", "(upper ".repeat(9), ")".repeat(9));
    assert!(error(&deep).message.contains("levels deep"));
    // However much of it there is, it is refused and not followed down.
    assert_eq!(error(&format!("{{{{upper {}", "(".repeat(100_000))).fault, Fault::Malformed);
}

#[test]
fn each_helper_writes_as_the_language_does() {
    let data = json!({
        "name": "istanbul", "title": "A long title", "at": "2026-11-25T22:30:00Z", "day": "2026-11-25", "sum": "1234.5",
        "cur": "JPY", "n": 1, "many": 5, "none": 0, "empty": " ", "items": [{"id": "x"}], "zone": "Asia/Tokyo",
    });
    for (source, language, expected) in [
        ("{{default nobody \"friend\"}}", "en", "friend"),
        ("{{default empty name}}", "en", "istanbul"),
        ("{{default name \"friend\"}}", "en", "istanbul"),
        ("{{upper name}}", "en_US", "ISTANBUL"),
        ("{{upper name}}", "tr", "İSTANBUL"),
        ("{{upper (default nobody name)}}", "en", "ISTANBUL"),
        ("{{truncate title 7}}", "en", "A long…"),
        ("{{truncate title 12}}", "en", "A long title"),
        ("{{items.0.id}}", "en", "x"),
        ("{{items.[0].[id]}}", "en", "x"),
        ("{{date at}}", "de", "25. November 2026"),
        ("{{date at zone=\"Asia/Tokyo\"}}", "de", "26. November 2026"),
        ("{{date at \"datetime\" zone=zone}}", "en_US", "Nov 26, 2026, 7:30 AM"),
        ("{{date at \"time\" zone=\"Europe/Berlin\"}}", "de", "23:30"),
        ("{{date day \"full\"}}", "fr", "mercredi 25 novembre 2026"),
        ("{{date day locale=\"ja\"}}", "fr", "2026年11月25日"),
        ("{{date day \"short\"}}", "en_GB", "25/11/2026"),
        ("{{date day}}", "pt_BR", "25 de novembro de 2026"),
        ("{{money sum \"EUR\"}}", "de", "1.234,50 €"),
        ("{{money sum \"EUR\"}}", "en_US", "€1,234.50"),
        ("{{money sum cur}}", "en_US", "¥1,235"),
        ("{{money sum \"INR\" locale=\"hi\"}}", "en_US", "₹1,234.50"),
        ("{{plural n one=\"# item\" other=\"# items\"}}", "en", "1 item"),
        ("{{plural none one=\"# item\" other=\"# items\"}}", "en", "0 items"),
        ("{{plural none zero=\"nothing\" other=\"# items\"}}", "en", "nothing"),
        ("{{plural many one=\"# plik\" few=\"# pliki\" many=\"# plików\" other=\"# pliku\"}}", "pl", "5 plików"),
        ("{{plural many one='#' other='# of \"them\"'}}", "ar", "5 of \"them\""),
    ] {
        assert_eq!(seen(source, &data, language), expected, "{source} in {language}");
    }
}

#[test]
fn what_is_missing_or_unfit_is_told_with_its_place() {
    let data = json!({
        "customer": {"name": null, "blank": "  "}, "list": [1], "flag": true, "at": "tomorrow", "sum": "12,50",
        "day": "2026-11-25", "a/b": null, "code": "euro",
    });
    for (source, pointer, says) in [
        ("{{customer.name}}", "/customer/name", "is missing; {{customer.name}} asks for it"),
        ("{{customer.blank}}", "/customer/blank", "is empty"),
        ("{{order.id}}", "/order/id", "is missing"),
        ("{{list}}", "/list", "is a list"),
        ("{{list.7}}", "/list/7", "is missing"),
        ("{{flag}}", "/flag", "is a truth value"),
        ("{{default flag \"x\"}}", "/flag", "is a truth value"),
        ("{{default nobody nothing}}", "/nothing", "default asks for it"),
        ("{{upper (default a b)}}", "/b", "is missing"),
        ("{{date at}}", "/at", "RFC 3339"),
        ("{{date day \"time\"}}", "/day", "time of day"),
        ("{{date day zone=nowhere}}", "/nowhere", "is missing"),
        ("{{money sum \"EUR\"}}", "/sum", "12.50"),
        ("{{money list.0 code}}", "/code", "ISO 4217"),
        ("{{plural sum other=\"x\"}}", "/sum", "must be a number"),
        ("{{[a/b]}}", "/a~1b", "is missing"),
    ] {
        let error = texts(source, &data, "en").unwrap_err();
        assert_eq!(error.pointer, pointer, "{source}: {error}");
        assert!(error.message.contains(says), "{source}: {error}");
    }
}

#[test]
fn an_expression_has_a_name_that_parameters_can_have() {
    for (source, name) in [
        ("{{customer.first_name}}", "customer_first_name"),
        ("{{date order.ShipsAt \"long\"}}", "order_shipsat"),
        ("{{default [näme] \"x\"}}", "n_me"),
        ("{{items.0.id}}", "items_0_id"),
        ("{{[7]}}", "value_7"),
    ] {
        assert_eq!(expression(source).unwrap().name(), name);
    }
    assert!(expression("x").is_err());
    assert!(expression("{{a}} b").is_err());
}

fn any_expression() -> impl Strategy<Value = String> {
    let path = "[a-z][a-z_]{0,5}(\\.[a-z]{1,4}){0,2}".prop_filter("a helper", |path| Helper::parse(path).is_none());
    prop_oneof![
        path.clone(),
        path.clone().prop_map(|path| format!("upper {path}")),
        path.clone().prop_map(|path| format!("default {path} \"friend\"")),
        path.clone().prop_map(|path| format!("truncate (default {path} 'x y') 12")),
        path.clone().prop_map(|path| format!("date {path} \"short\" zone=\"Europe/Berlin\"")),
        path.clone().prop_map(|path| format!("money {path} \"EUR\" locale=\"de\"")),
        path.prop_map(|path| format!("plural {path} one=\"# item\" other=\"# items\"")),
    ]
}

proptest! {
    #[test]
    fn whatever_is_sent_in_is_read_or_refused(source in ".{0,60}|[{}#a-z ().\"=\\\\~>0-9]{0,60}") {
        match parse(&source) {
            Ok(pieces) => {
                let whole: String = pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Expression(expression) => expression.source.as_str(),
                }).collect();
                prop_assert_eq!(whole, source, "nothing is lost");
            }
            Err(error) => prop_assert!(error.line > 0 && error.column > 0 && !error.message.is_empty()),
        }
    }

    #[test]
    fn what_is_taken_is_handlebars(text in "[A-Za-z ,.]{0,12}", inside in any_expression()) {
        let source = format!("{text}{{{{{inside}}}}}{text}");
        prop_assert!(parse(&source).is_ok(), "{}", source);
        let theirs = ::handlebars::Template::compile(&source);
        prop_assert!(theirs.is_ok(), "{}: {:?}", source, theirs.err());
    }
}
