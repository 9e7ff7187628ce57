//! Guarantee: a profile is read as the upstream shows it, in either of the two shapes that it has been documented in, and
//! changed in nothing that was not asked for.

use serde_json::{Map, Value, json};
use waystation_adapter_sdk::{Io, ManagementError, Profile, ProfileRequest};

use crate::{graph, manage};

/// Everything that a profile has; without them only a few are answered.
const FIELDS: &str = "about,address,description,email,profile_picture_url,websites,vertical";

pub(crate) async fn profile(io: &Io, request: &ProfileRequest) -> Result<Profile, ManagementError> {
    let connection = manage::connection(&request.connection)?;
    let path = format!("{}/whatsapp_business_profile", connection.phone_number_id);
    if request.change.is_empty() {
        let path = format!("{path}?fields={FIELDS}");
        let answer = graph::call(io, &connection, "GET", &path, None).await.map_err(manage::judge)?;
        let first = answer.pointer("/data/0");
        let found = first.and_then(|first| first.get("business_profile")).or(first).and_then(Value::as_object);
        return match found {
            Some(found) => Ok(Profile(found.clone())),
            None => Err(manage::unreadable(answer, "The answer has no profile")),
        };
    }
    let mut body: Map<String, Value> = request.change.clone();
    body.insert("messaging_product".to_owned(), json!("whatsapp"));
    let answer =
        graph::call(io, &connection, "POST", &path, Some(&Value::Object(body))).await.map_err(manage::judge)?;
    if manage::is_done(&answer) {
        Ok(Profile::default())
    } else {
        Err(manage::unreadable(answer, "The answer does not say that it was done"))
    }
}
