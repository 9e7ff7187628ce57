//! What the APIs and the dashboard call: neither can do what the other would be refused.
//!
//! What is kept has passed the lint. Nobody judges what they have written or handed in themselves, and no program judges
//! at all: a judge is a person of the platform, or the platform itself.

use super::{
    content::{Change, Draft},
    limits::FALLBACK_MAX_LANGUAGES,
    lint::{self, Finding},
    network::NetworkEvent,
    state::{Action, Refusal},
    views::{Decision, TemplateCounts, TemplateFilter, TemplateView, VersionView, WaitingFilter, WaitingTemplate},
};
use crate::{
    audit::{Actor, ActorKind},
    clock::Millis,
    delivery::{Enqueuer, delivery_job},
    error::{ApiError, Breach, ErrorKind},
    ids::{AccountId, BusinessId, TemplateId},
    onboarding::Reviewer,
    paging::{Page, Paging},
    queue::Topic,
    store::{ListPlace, ListRange, NewTemplate, Store, TemplateChanged, read_place},
    tenancy::{Directory, REASON_MAX_CHARS, Subtree},
};

/// Keeps templates and takes them through their review. Clones share everything.
#[derive(Debug, Clone)]
pub struct Templates {
    pub(super) store: Store,
    directory: Directory,
    enqueuer: Enqueuer,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::IllegalTransition, refusal.to_string())
    }
}

impl Templates {
    /// Templates in `store`.
    #[must_use]
    pub fn new(store: Store, directory: Directory, enqueuer: Enqueuer) -> Self {
        Self { store, directory, enqueuer }
    }

    /// Adds a template to a business, and hands it in at once where `submit` says so.
    ///
    /// # Errors
    /// Every error that the lint finds, under the kind of the first; [`ErrorKind::TemplateExists`],
    /// [`ErrorKind::TemplateNameReserved`], [`ErrorKind::TemplateLimit`] and [`ErrorKind::RateLimited`] as the network
    /// would answer.
    pub async fn create(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        draft: &Draft,
        submit: bool,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        let content = lint::accept(draft)?;
        let new = NewTemplate { name: &draft.name, language: &draft.language, content: &content, submit };
        let changed = self.store.add_template((by, subtree), business, &new, now).await?;
        self.settle(subtree, changed).await
    }

    /// Changes a template: makes a new version of it. The one in use stays in use until the new one is approved.
    ///
    /// # Errors
    /// What the lint finds; [`ErrorKind::IllegalTransition`] while a version of it is under review, after it was
    /// disabled, or to another category once it was approved; [`ErrorKind::RateLimited`] where the network takes no
    /// more changes; [`ErrorKind::Conflict`] when somebody else has changed it meanwhile.
    pub async fn change(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: TemplateId,
        change: Change,
        submit: bool,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        let view = self.store.template_view(subtree, id).await?;
        let draft = view.latest.draft.clone().changed(change);
        let content = lint::accept(&draft)?;
        let basis = (&content, view.latest.number);
        let changed = self.store.change_template((by, subtree), id, basis, submit, now).await?;
        self.settle(subtree, changed).await
    }

    /// Hands the newest version in.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] with what is possible instead.
    pub async fn submit(
        &self,
        owner: (&Actor, &Subtree),
        id: TemplateId,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        self.step(owner, id, Action::Submit, now).await
    }

    /// Takes it back before a reviewer has judged it.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] with what is possible instead.
    pub async fn withdraw(
        &self,
        owner: (&Actor, &Subtree),
        id: TemplateId,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        self.step(owner, id, Action::Withdraw, now).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] with what is possible instead.
    pub async fn unpause(
        &self,
        owner: (&Actor, &Subtree),
        id: TemplateId,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        self.step(owner, id, Action::Unpause, now).await
    }

    /// Puts a template away: it cannot be sent any more. A change brings it back.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] with what is possible instead.
    pub async fn archive(
        &self,
        owner: (&Actor, &Subtree),
        id: TemplateId,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        self.step(owner, id, Action::Archive, now).await
    }

    /// Deletes a template in one language, or in all that it has; gives the ids of what was deleted.
    ///
    /// # Errors
    /// There is none of this name, or not with this id.
    pub async fn delete(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        (name, only): (&str, Option<TemplateId>),
        now: Millis,
    ) -> Result<Vec<TemplateId>, ApiError> {
        let deleted = self.store.delete_templates((by, subtree), business, (name, only), now).await?;
        if deleted.is_empty() {
            return Err(match only {
                Some(id) => ApiError::missing("template", &id),
                None => ApiError::missing("template", &crate::messages::request::excerpt(name)),
            });
        }
        self.directory.forget_business(business);
        Ok(deleted)
    }

    /// Sets which languages are tried, in this order, when the one that a message names is not there or cannot be sent.
    ///
    /// # Errors
    /// A language that is none, or too many; there is no template of this name.
    pub async fn set_fallback(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        (name, languages): (&str, &[String]),
        now: Millis,
    ) -> Result<(), ApiError> {
        let mut breaches: Vec<Breach> = languages
            .iter()
            .enumerate()
            .filter(|(_, language)| !super::languages::is_known(language))
            .map(|(position, language)| Breach {
                pointer: format!("/languages/{position}"),
                message: super::languages::unknown(language),
                limit: None,
                actual: None,
            })
            .collect();
        if languages.len() > FALLBACK_MAX_LANGUAGES {
            breaches.push(Breach {
                pointer: "/languages".to_owned(),
                message: format!("must have at most {FALLBACK_MAX_LANGUAGES} entries, has {}", languages.len()),
                limit: Some(FALLBACK_MAX_LANGUAGES as u64),
                actual: Some(languages.len() as u64),
            });
        }
        if !breaches.is_empty() {
            return Err(ApiError::breaches(ErrorKind::ParameterInvalid, breaches));
        }
        self.store.set_template_fallback((by, subtree), business, (name, languages), now).await?;
        self.directory.forget_business(business);
        Ok(())
    }

    /// The languages that are tried when one of `name` cannot be sent.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn fallback(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        name: &str,
    ) -> Result<Vec<String>, ApiError> {
        let account = self.store.account_of(subtree, business).await?;
        Ok(self.store.template_fallback(account, name).await?)
    }

    /// A template.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such template.
    pub async fn template(&self, subtree: &Subtree, id: TemplateId) -> Result<TemplateView, ApiError> {
        self.store.template_view(subtree, id).await
    }

    /// The versions of a template, newest first; of very many the newest hundred.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such template.
    pub async fn versions(&self, subtree: &Subtree, id: TemplateId) -> Result<Vec<VersionView>, ApiError> {
        self.store.template_versions(subtree, id).await
    }

    /// The templates of a subtree, newest first.
    ///
    /// # Errors
    /// A cursor of another list.
    pub async fn list(
        &self,
        subtree: &Subtree,
        filter: &TemplateFilter,
        paging: &Paging,
    ) -> Result<Page<TemplateView>, ApiError> {
        let place = paging
            .after
            .as_deref()
            .map(|key| read_place(key).ok_or_else(|| ApiError::breach("?cursor", "is not a cursor of this list")));
        let range = ListRange { place: place.transpose()?, backwards: false, limit: paging.limit };
        let (views, more) = self.store.template_list(subtree, filter, &range).await?;
        Ok(Page::of(views, more, |view| {
            let ListPlace { created_at, id } = place_of(view);
            format!("{created_at}.{id}")
        }))
    }

    /// The same from a place in either direction, and whether there are more that way.
    ///
    /// # Errors
    /// The database's.
    pub async fn range(
        &self,
        subtree: &Subtree,
        filter: &TemplateFilter,
        range: &ListRange,
    ) -> Result<(Vec<TemplateView>, bool), ApiError> {
        self.store.template_list(subtree, filter, range).await
    }

    /// How many templates a business has.
    ///
    /// # Errors
    /// The database's.
    pub async fn counts(&self, business: &BusinessId, filter: &TemplateFilter) -> Result<TemplateCounts, ApiError> {
        self.store.template_counts(business, filter).await
    }

    /// The account of a business.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn account(&self, subtree: &Subtree, business: &BusinessId) -> Result<AccountId, ApiError> {
        self.store.account_of(subtree, business).await
    }

    /// What is wrong with a draft, and what could be better about it; for a business, also whether another template of
    /// it says the same.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn lint(
        &self,
        subtree: &Subtree,
        business: &BusinessId,
        draft: &Draft,
    ) -> Result<Vec<Finding>, ApiError> {
        let (content, mut findings) = lint::run(draft);
        let account = self.store.account_of(subtree, business).await?;
        if let Some(content) = content {
            let named = (draft.name.as_str(), draft.language.as_str());
            let twins = self.store.template_twins(account, named, &content.fingerprint()).await?;
            findings.extend(twins.first().map(|twin| lint::twin(twin)));
        }
        Ok(findings)
    }

    /// The versions that wait for a reviewer, the longest waiting first.
    ///
    /// # Errors
    /// A cursor of another list.
    pub async fn review_queue(
        &self,
        _by: &Reviewer,
        subtree: &Subtree,
        filter: &WaitingFilter,
        paging: &Paging,
    ) -> Result<Page<WaitingTemplate>, ApiError> {
        self.store.waiting_templates(subtree, filter, paging).await
    }

    /// Takes a reviewer's step: `approve`, `request_changes` or `reject`.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for a program, for a person of the business's or its reseller's side, and for
    /// whoever has written or handed in a version of this template; [`ErrorKind::ParameterMissing`] without a reason
    /// where one is needed; [`ErrorKind::IllegalTransition`] with what is possible instead; [`ErrorKind::Conflict`]
    /// when there is a newer version than the one that was looked at.
    pub async fn decide(
        &self,
        by: &Reviewer,
        subtree: &Subtree,
        id: TemplateId,
        decision: &Decision,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        if matches!(by.actor().kind, ActorKind::Key | ActorKind::User) {
            let details = "A template is judged by a person of the platform, and not by its own side.";
            return Err(ApiError::new(ErrorKind::PermissionDenied, details));
        }
        let reason = read_reason(decision.action, decision.reason.as_deref())?;
        let step = (decision.action, reason.as_deref(), decision.version);
        let changed = self.store.review_template((by.actor(), subtree), id, step, now).await?;
        self.settle(subtree, changed).await
    }

    /// Writes down what a network says of a template, for the adapter that heard it.
    ///
    /// # Errors
    /// There is no such template, or it never went to a network.
    pub async fn heard(&self, id: TemplateId, event: &NetworkEvent, now: Millis) -> Result<TemplateView, ApiError> {
        let changed = self.store.template_event(&Actor::system(), id, event, now).await?;
        self.settle(&Subtree::Platform, changed).await
    }

    async fn step(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: TemplateId,
        action: Action,
        now: Millis,
    ) -> Result<TemplateView, ApiError> {
        let changed = self.store.step_template((by, subtree), id, action, now).await?;
        self.settle(subtree, changed).await
    }

    /// What follows on a change that is on disk.
    async fn settle(&self, subtree: &Subtree, changed: TemplateChanged) -> Result<TemplateView, ApiError> {
        self.spread(&changed);
        self.store.template_view(subtree, changed.id).await
    }
}

impl Templates {
    /// Has a change that is on disk seen and told.
    pub(super) fn spread(&self, changed: &TemplateChanged) {
        self.directory.forget_business(&changed.business);
        let jobs = changed.deliveries.iter().map(delivery_job).collect();
        self.enqueuer.enqueue(Topic::Webhooks, jobs);
    }
}

/// The place of a template in a list.
#[must_use]
pub fn place_of(view: &TemplateView) -> ListPlace {
    ListPlace { created_at: view.created_at, id: view.id }
}

fn read_reason(action: Action, reason: Option<&str>) -> Result<Option<String>, ApiError> {
    let breach = |kind: ErrorKind, message: String, numbers: Option<(usize, usize)>| {
        let (limit, actual) = numbers.unzip();
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let pointer = "/reason".to_owned();
        ApiError::breaches(
            kind,
            vec![Breach { pointer, message, limit: limit.map(number), actual: actual.map(number) }],
        )
    };
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    let Some(reason) = reason else {
        if action.needs_reason() {
            let message = format!("is required: the business is told why by the step {action}");
            return Err(breach(ErrorKind::ParameterMissing, message, None));
        }
        return Ok(None);
    };
    let chars = reason.chars().count();
    if chars > REASON_MAX_CHARS {
        let message = format!("must have at most {REASON_MAX_CHARS} characters, has {chars}");
        return Err(breach(ErrorKind::ParameterTooLong, message, Some((REASON_MAX_CHARS, chars))));
    }
    Ok(Some(reason.replace('\0', "")))
}
