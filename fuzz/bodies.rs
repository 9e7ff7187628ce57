//! What is asked of any input. cargo-fuzz runs these with its own inputs, the test suite with the corpus and changes of
//! it.

use waystation_core::messages::{
    render::Rendering,
    request::{Dialect, Request},
};

/// Reads `body` as a message on both routes. It is refused with what is wrong and where, or it is a message that can be
/// written out, read again to the same one, and shown.
#[allow(unreachable_pub, reason = "the fuzz crate uses it too")]
pub fn message(body: &[u8]) {
    for dialect in [Dialect::CloudApi, Dialect::Platform] {
        let first = match Request::read(body, dialect) {
            Ok(Request::Send(message)) => message,
            Ok(Request::MarkAsRead(read)) => {
                assert!(!read.message_id.is_empty());
                continue;
            }
            Err(error) => {
                assert!(!error.details.is_empty(), "refused without a reason: {error:?}");
                assert!(error.breaches.iter().all(|breach| !breach.message.is_empty()), "{error:?}");
                continue;
            }
        };
        let again = match Request::read(first.object.as_bytes(), dialect) {
            Ok(Request::Send(message)) => message,
            other => panic!("what was accepted is refused when it is written out: {other:?}\n{}", first.object),
        };
        assert_eq!(again.object, first.object, "it is not written out as it was read");
        assert_eq!((&again.to, &again.recipient), (&first.to, &first.recipient));
        assert_eq!(again.content.kind(), first.content.kind());
        match (first.content.into_rendering(), again.content.into_rendering()) {
            (Rendering::Text(one), Rendering::Text(two)) => assert_eq!(one, two),
            (Rendering::Template(one), Rendering::Template(two)) => assert_eq!(one.name, two.name),
            _ => panic!("it is shown in two ways: {}", first.object),
        }
    }
}
