//! The other direction: a message that answers another, or reacts to it, names it as its network does.

use serde_json::Value;

use crate::{
    ids::MessageId,
    messages::{outside::without_instead, sealed::Content},
    store::{MessageRow, Store, StoreError},
};

/// Members of a message to send that name another, in `message_id`.
const NAMING: [&str; 2] = ["context", "reaction"];

/// What `row` says, with the network's ids of the messages that it names. One that is not known here is left as the
/// tenant wrote it.
///
/// # Errors
/// The database's.
pub(crate) async fn in_network_terms(store: &Store, row: &MessageRow, content: Content) -> Result<Content, StoreError> {
    let content = Content { body: without_instead(content.body), ..content };
    // Most messages name none, and need not be read for it.
    if row.kind != "reaction" && !content.body.contains("\"context\"") {
        return Ok(content);
    }
    let Ok(Value::Object(mut body)) = serde_json::from_str(&content.body) else { return Ok(content) };
    let naming = body.iter_mut().filter(|(member, _)| NAMING.contains(&member.as_str()));
    let named: Vec<(MessageId, &mut Value)> = naming
        .filter_map(|(_, object)| object.get_mut("message_id"))
        .filter_map(|id| Some((id.as_str()?.parse().ok()?, id)))
        .collect();
    if named.is_empty() {
        return Ok(content);
    }
    let keys: Vec<&str> = named.iter().map(|(id, _)| id.key()).collect();
    let known = store.upstream_ids(&row.business_id, row.sender_id, &keys).await?;
    for (id, place) in named {
        if let Some(upstream_id) = known.get(id.key()) {
            *place = upstream_id.as_str().into();
        }
    }
    Ok(Content { body: Value::Object(body).to_string(), ..content })
}
