//! Guarantee: what a reviewer here has let go gets to its network and what is deleted here is deleted there, however often
//! either side is cut off in between; and a network that tells nothing by itself is asked, within what it allows.
//!
//! The tasks are rows: a process claims one for the time of a lease and writes down what came of it, and one that died is
//! claimed again. So a template may be submitted twice; adapters find what is there already. Nothing here is on a
//! message's way.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;
use waystation_adapter_sdk::{ManagementError, SendError, Sender as OutboundSender, TemplateRef, TemplateSubmission};

use super::{Content, Templates};
use crate::{
    clock::{Millis, now_ms},
    delivery::{Enqueuer, Rounds},
    error::ApiError,
    media::Media,
    plugins::{Adapter, AdapterHost},
    store::{NetworkTask, Store, StoreError, Task, TemplateChanged},
    tenancy::{Directory, Sender},
};

/// Tasks claimed in one step.
const CLAIM_ROWS: i64 = 16;
/// Tasks under way at once, of one process.
const AT_ONCE: usize = 4;
/// Templates noted in one step.
const ENLIST_ROWS: i64 = 100;
/// How long a claim holds, in milliseconds.
const LEASE_MS: Millis = 120_000;
/// How long one task may take; shorter than its lease.
const TASK_MAX: Duration = Duration::from_secs(100);
/// Between two questions about templates of one account, in milliseconds: a hundred an hour, of the two hundred calls that
/// an account has at least.
const SPACING_MS: Millis = 36_000;
/// The wait before the second try, in milliseconds; it doubles up to [`RETRY_MAX_MS`].
const RETRY_MS: Millis = 5_000;
const RETRY_MAX_MS: Millis = 3_600_000;
/// Doublings of the wait at most.
const DOUBLINGS_MAX: i32 = 10;
/// The wait when the network has not said how long, in milliseconds.
const LIMITED_MS: Millis = 3_600_000;
/// How soon it is looked again whether a task can be done that nothing here can do now, in milliseconds.
const HELD_MS: Millis = 60_000;

/// Takes templates to their networks.
pub(crate) struct Forwarder {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) adapters: Arc<AdapterHost>,
    pub(crate) media: Media,
    pub(crate) templates: Templates,
    /// The wait before a network is asked about what it has just got, in milliseconds.
    pub(crate) check_ms: Millis,
}

/// Why a task was not done.
enum Undone {
    /// Nothing was asked of the network: it is looked again soon.
    Held(String),
    /// The network, or its adapter, says why.
    Failed(ManagementError),
    /// The database does.
    Store(ApiError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<ApiError> for Undone {
    fn from(error: ApiError) -> Self {
        Self::Store(error)
    }
}

impl Rounds for Forwarder {
    const WHAT: &'static str = "templates at their networks";
    const PAUSE: Duration = Duration::from_secs(1);

    async fn round(&self, stopping: &watch::Receiver<bool>) -> Result<(), StoreError> {
        self.store.enlist_templates(ENLIST_ROWS, now_ms()).await?;
        while !*stopping.borrow() {
            let tasks = self.store.claim_template_tasks(CLAIM_ROWS, (LEASE_MS, SPACING_MS), now_ms()).await?;
            if tasks.is_empty() {
                break;
            }
            stream::iter(tasks).for_each_concurrent(AT_ONCE, |task| self.handle(task)).await;
        }
        Ok(())
    }
}

impl Forwarder {
    /// What takes templates to their networks.
    pub(crate) fn new(
        (store, directory, enqueuer): (Store, Directory, Enqueuer),
        adapters: Arc<AdapterHost>,
        media: Media,
        check: Duration,
    ) -> Self {
        let templates = Templates::new(store.clone(), directory.clone(), enqueuer);
        let check_ms = i64::try_from(check.as_millis()).unwrap_or(Millis::MAX / 2);
        Self { store, directory, adapters, media, templates, check_ms }
    }

    /// Does a task and writes down what came of it. What cannot be written down is claimed again after its lease.
    async fn handle(&self, task: NetworkTask) {
        let doing = tokio::time::timeout(TASK_MAX, self.attempt(&task));
        let undone = match doing.await {
            Ok(Ok(changed)) => {
                if let Some(changed) = changed {
                    self.templates.spread(&changed);
                }
                return;
            }
            Ok(Err(undone)) => undone,
            Err(_) => Undone::Held(format!("it was not done within {} s", TASK_MAX.as_secs())),
        };
        let (wait_ms, counts, why) = wait_after(undone, task.attempts);
        let (template, network, kind) = (task.template, &task.adapter, task.task);
        tracing::warn!(%template, network, ?kind, why, wait_ms, "a template's task at its network waits");
        let now = now_ms();
        let failed = self.store.template_task_failed(&task, (Some(now + wait_ms), counts), &why, now).await;
        if let Err(error) = failed {
            tracing::warn!(%template, %error, "what became of a template's task could not be written down");
        }
    }

    async fn attempt(&self, task: &NetworkTask) -> Result<Option<TemplateChanged>, Undone> {
        let Some(sender) = self.sender(task).await? else {
            if task.task == Task::Delete {
                // Nobody here can reach that network any more.
                self.store.template_deleted_at_network(task).await?;
                return Ok(None);
            }
            return Err(Undone::Held(format!("the account has no sender on {} any more", task.adapter)));
        };
        if sender.hold().is_some() {
            return Err(Undone::Held("its sender is held".to_owned()));
        }
        let Some(adapter) = self.adapters.get(&task.adapter) else {
            return Err(Undone::Held("its adapter is not loaded in this process".to_owned()));
        };
        if !adapter.description().capabilities.manages_templates {
            return Err(Undone::Failed(ManagementError::Unsupported));
        }
        match task.task {
            Task::Submit => self.submit(task, &adapter, &sender).await,
            Task::Check => self.check(task, &adapter, &sender).await,
            Task::Unpause => {
                let named = self.named(task, &sender, Vec::new());
                match adapter.unpause_template(&named).await {
                    // What it is then is asked at once: a pause that the network does not end is one here, too.
                    Ok(_) | Err(ManagementError::Rejected { .. }) => {}
                    Err(error) => return Err(Undone::Failed(error)),
                }
                self.store.end_template_task(task, Some(now_ms())).await?;
                Ok(None)
            }
            Task::Delete => {
                let named = self.named(task, &sender, Vec::new());
                adapter.delete_template(&named).await.map_err(Undone::Failed)?;
                self.store.template_deleted_at_network(task).await?;
                Ok(None)
            }
        }
    }

    async fn sender(&self, task: &NetworkTask) -> Result<Option<Arc<Sender>>, StoreError> {
        match self.store.network_sender(task.account, &task.adapter).await? {
            Some(id) => self.directory.any_sender(id).await,
            None => Ok(None),
        }
    }

    async fn submit(
        &self,
        task: &NetworkTask,
        adapter: &Adapter,
        sender: &Sender,
    ) -> Result<Option<TemplateChanged>, Undone> {
        let Some(content) = self.store.version_at_network(task).await? else {
            self.store.end_template_task(task, None).await?;
            return Ok(None);
        };
        let components = self.with_samples(adapter, sender, &content).await.map_err(Undone::Failed)?;
        let submission = TemplateSubmission {
            sender: number_of(sender),
            connection: sender.connection.clone(),
            upstream_id: task.upstream_id.clone(),
            name: task.name.clone(),
            language: task.language.clone(),
            category: content.category.name().to_ascii_uppercase(),
            parameter_format: content.parameter_format.name().to_owned(),
            components,
            ttl_seconds: content.ttl_seconds,
            at_ms: task.claimed_at,
        };
        let outcome = match adapter.submit_template(&submission).await {
            Ok(report) => Ok(report),
            Err(ManagementError::Rejected { error }) => Err(error),
            Err(error) => return Err(Undone::Failed(error)),
        };
        Ok(self.store.template_submitted(task, &outcome, (self.check_ms, now_ms())).await?)
    }

    async fn check(
        &self,
        task: &NetworkTask,
        adapter: &Adapter,
        sender: &Sender,
    ) -> Result<Option<TemplateChanged>, Undone> {
        let content = self.store.version_at_network(task).await?;
        let named = self.named(task, sender, content.map(|content| content.components).unwrap_or_default());
        let report = adapter.read_template(&named).await.map_err(Undone::Failed)?;
        Ok(self.store.template_reported(task, &report, (self.check_ms, now_ms())).await?)
    }

    fn named(&self, task: &NetworkTask, sender: &Sender, components: Vec<Value>) -> TemplateRef {
        TemplateRef {
            sender: number_of(sender),
            connection: sender.connection.clone(),
            upstream_id: task.upstream_id.clone(),
            name: task.name.clone(),
            language: task.language.clone(),
            components,
            at_ms: task.claimed_at,
        }
    }

    /// The components with the network's handles of samples in the place of ours.
    async fn with_samples(
        &self,
        adapter: &Adapter,
        sender: &Sender,
        content: &Content,
    ) -> Result<Vec<Value>, ManagementError> {
        let mut components = Value::from(content.components.clone());
        let mut handles = Vec::new();
        visit_handles(&mut components, &mut |handle| handles.push(handle.clone()));
        for ours in handles {
            // One that is none of ours may be the network's.
            let given = self.media.give_sample(adapter, sender, &ours).await.map_err(of_sample)?;
            let Some(theirs) = given else { continue };
            visit_handles(&mut components, &mut |handle| {
                if *handle == ours {
                    handle.clone_from(&theirs);
                }
            });
        }
        match components {
            Value::Array(components) => Ok(components),
            _ => Ok(Vec::new()),
        }
    }
}

/// How long a task waits after a failure, in milliseconds; whether that was a try; and why, in words.
fn wait_after(undone: Undone, attempts: i32) -> (Millis, bool, String) {
    let doublings = (attempts - 1).clamp(0, DOUBLINGS_MAX);
    let backoff = RETRY_MS.saturating_mul(1 << doublings).min(RETRY_MAX_MS);
    match undone {
        Undone::Held(why) => (HELD_MS, false, why),
        Undone::Store(error) => (backoff, true, error.details),
        Undone::Failed(error) => {
            let why = error.to_string();
            match error {
                ManagementError::RateLimited { after_ms, .. } => {
                    let asked = after_ms.and_then(|ms| Millis::try_from(ms).ok());
                    (asked.unwrap_or(LIMITED_MS).clamp(RETRY_MS, 24 * RETRY_MAX_MS), false, why)
                }
                ManagementError::Unsupported | ManagementError::Rejected { .. } => (RETRY_MAX_MS, true, why),
                ManagementError::Unavailable { .. } | ManagementError::Ambiguous { .. } => (backoff, true, why),
            }
        }
    }
}

/// What the failure to give a sample means for the template that it belongs to.
fn of_sample(error: SendError) -> ManagementError {
    match error {
        SendError::Rejected { error } => ManagementError::Rejected { error },
        SendError::RateLimited { after_ms, error, .. } => {
            ManagementError::RateLimited { after_ms: Some(after_ms), error }
        }
        SendError::ChannelDown { error, needs_operator } => ManagementError::Unavailable { error, needs_operator },
        SendError::RetryAfter { error, .. }
        | SendError::MediaGone { error, .. }
        | SendError::Ambiguous { error }
        | SendError::Internal { error } => ManagementError::Unavailable { error, needs_operator: false },
    }
}

fn number_of(sender: &Sender) -> OutboundSender {
    OutboundSender { id: sender.id.to_string(), phone: sender.phone.clone() }
}

/// Calls `visit` with every handle of a sample.
fn visit_handles(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match (name.as_str(), value) {
                    ("header_handle", Value::Array(handles)) => {
                        for handle in handles {
                            if let Value::String(handle) = handle {
                                visit(handle);
                            }
                        }
                    }
                    ("header_handle", Value::String(handle)) => visit(handle),
                    (_, value) => visit_handles(value, visit),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit_handles(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use waystation_adapter_sdk::UpstreamError;

    use super::*;

    #[test]
    fn handles_are_found_in_headers_and_cards() {
        let mut components = json!([
            {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::a"]}},
            {"type": "CAROUSEL", "cards": [{"components": [
                {"type": "HEADER", "format": "VIDEO", "example": {"header_handle": ["4::b"]}},
            ]}]},
            {"type": "BODY", "text": "4::c", "example": {"body_text": [["4::d"]]}},
        ]);
        let mut found = Vec::new();
        visit_handles(&mut components, &mut |handle| found.push(std::mem::replace(handle, "4::z".to_owned())));
        assert_eq!(found, ["4::a", "4::b"]);
        assert_eq!(components[1]["cards"][0]["components"][0]["example"]["header_handle"][0], "4::z");
    }

    #[test]
    fn a_limit_is_no_try_and_failures_wait_longer_and_longer() {
        let error = || UpstreamError::new("no");
        let down = || Undone::Failed(ManagementError::Unavailable { error: error(), needs_operator: false });
        let waits: Vec<Millis> = [1, 2, 3, 100].map(|attempts| wait_after(down(), attempts).0).into();
        assert_eq!(waits, [5_000, 10_000, 20_000, RETRY_MAX_MS]);
        assert!(wait_after(down(), 1).1);
        let limited = |after_ms| Undone::Failed(ManagementError::RateLimited { after_ms, error: error() });
        assert_eq!(wait_after(limited(Some(60_000)), 7), (60_000, false, "rate limited: no".to_owned()));
        assert_eq!(wait_after(limited(None), 7).0, LIMITED_MS);
        assert_eq!(wait_after(Undone::Held("held".to_owned()), 7), (HELD_MS, false, "held".to_owned()));
    }
}
