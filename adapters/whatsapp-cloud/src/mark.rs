//! Guarantee: the person sees that a message was read, and all before it; repeating that does no harm.

use serde_json::{Value, json};
use waystation_adapter_sdk::{Io, MarkError, ReadMark, UpstreamError};

use crate::{
    codes::Class,
    connection::Connection,
    graph::{self, Failure},
};

pub(crate) async fn mark_read(io: &Io, mark: &ReadMark) -> Result<(), MarkError> {
    let connection = Connection::read(&mark.connection).map_err(|details| MarkError::Unavailable {
        error: UpstreamError::new("The connection's settings are wrong").details(details),
    })?;
    let mut body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": mark.upstream_id});
    if mark.typing {
        body["typing_indicator"] = json!({"type": "text"});
    }
    let path = format!("{}/messages", connection.phone_number_id);
    graph::call(io, &connection, "POST", &path, Some(&body)).await.map(|_: Value| ()).map_err(judge)
}

fn judge(failure: Failure) -> MarkError {
    match failure {
        Failure::NotSent(error) | Failure::Unknown(error) | Failure::Foreign(error) => MarkError::Unavailable { error },
        Failure::Refused { class, error, .. } => match class {
            Class::Permanent
            | Class::Fallback
            | Class::Suppress
            | Class::Operator
            | Class::Bug
            | Class::Informational => MarkError::Rejected { error },
            _ => MarkError::Unavailable { error },
        },
    }
}
