//! What may be done with contacts, consents and suppressions: the API calls these functions.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    ATTRIBUTES_MAX, AttributeKind, Consent, ConsentRequest, Contact, ContactChange, Details, EVERY_CHANNEL, Reach,
    Suppression, SuppressionSource,
    consent::{channel_fault, current},
    details::{attribute_name_fault, is_line, line_of, without_address},
    suppression::Suppressed,
};
use crate::{
    audit::Actor,
    clock::{Millis, from_rfc3339},
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, ContactId, SuppressionId},
    messages::address::Address,
    paging::{Page, Paging},
    store::{
        AttributeView, ConsentAdded, ContactChanged, ContactFilter, Defined, NewSuppression, OptOutTexts, Store,
        Undefined, Upserted, term_of_attribute, term_of_tag,
    },
};

/// Longest reason of a suppression, in characters.
pub const SUPPRESSION_REASON_MAX_CHARS: usize = 200;
/// Longest text that confirms an opt-out, in characters.
pub const OPT_OUT_TEXT_MAX_CHARS: usize = 1_024;
/// Contacts of an export that are read at once.
const EXPORT_ROWS: u32 = 500;

/// A contact with what follows from its history.
#[derive(Debug, Clone)]
pub struct ContactView {
    /// The contact.
    pub contact: Contact,
    /// What it agreed to, or took back, as it stands.
    pub consents: Vec<Consent>,
    /// What it wants no more of.
    pub opt_outs: Vec<OptOut>,
}

/// Something that a contact wants no more of.
#[derive(Debug, Clone)]
pub struct OptOut {
    /// On which channel, or [`EVERY_CHANNEL`].
    pub channel: String,
    /// What it holds back.
    pub reach: Reach,
    /// Who said so.
    pub source: SuppressionSource,
    /// Since when.
    pub since: Millis,
}

/// Which contacts, as a request names them.
#[derive(Debug, Clone, Default)]
pub struct ContactQuery {
    /// With this tag.
    pub tag: Option<String>,
    /// With this value of an attribute, as `name=value`.
    pub attribute: Option<String>,
    /// With this phone number.
    pub phone: Option<String>,
    /// With this user id.
    pub user_id: Option<String>,
    /// Changed at this time or later.
    pub updated_since: Option<String>,
    /// With something that they want no more of, or without.
    pub opted_out: Option<bool>,
}

/// Somebody to protect, as a request names them.
#[derive(Debug, Clone, Default)]
pub struct SuppressionRequest {
    /// The phone number.
    pub phone: Option<String>,
    /// Or the user id.
    pub user_id: Option<String>,
    /// On which channel; on all of them without one.
    pub channel: Option<String>,
    /// From what; from everything without one.
    pub reach: Option<Reach>,
    /// Why.
    pub reason: Option<String>,
}

/// The contacts. Clones share everything.
#[derive(Debug, Clone)]
pub struct Contacts {
    pub(super) store: Store,
}

fn no_such(id: &ContactId) -> ApiError {
    ApiError::missing("contact", id)
}

fn refuse(breaches: Vec<Breach>) -> ApiError {
    ApiError::breaches(ErrorKind::ParameterInvalid, breaches)
}

fn taken(id: &ContactId) -> ApiError {
    let details = format!("The contact {id} has this phone number or user id already; change or merge that one.");
    ApiError::new(ErrorKind::Conflict, details)
}

fn address(phone: Option<&str>, user_id: Option<&str>, before: &str) -> Result<Option<Address>, ApiError> {
    match (phone, user_id) {
        (Some(_), Some(_)) => {
            Err(ApiError::breach(&format!("{before}user_id"), "must not be there together with \"phone\""))
        }
        (Some(phone), None) => Address::phone(phone)
            .map(Some)
            .ok_or_else(|| ApiError::breach(&format!("{before}phone"), "must be a phone number with its country code")),
        (None, Some(id)) => {
            let message = "must be a country's two letters, \".\" and up to 128 letters and digits";
            Address::user_id(id).map(Some).ok_or_else(|| ApiError::breach(&format!("{before}user_id"), message))
        }
        (None, None) => Ok(None),
    }
}

impl Contacts {
    /// Those in `store`.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds a contact.
    ///
    /// # Errors
    /// What is wrong with it, or a conflict with the contact that has its address.
    pub async fn add(
        &self,
        business: &BusinessId,
        change: ContactChange,
        now: Millis,
    ) -> Result<ContactView, ApiError> {
        let change = change.checked(&self.store.definitions(business).await?).map_err(refuse)?;
        let mut details = Details::default();
        change.apply(&mut details);
        if details.addresses().next().is_none() {
            return Err(without_address());
        }
        match self.store.add_contact(business, details, now).await? {
            ContactChanged::Yes(contact) => self.view(business, *contact).await,
            ContactChanged::Taken(id) => Err(taken(&id)),
            ContactChanged::NoSuch | ContactChanged::WithoutAddress => Err(without_address()),
        }
    }

    /// A contact.
    ///
    /// # Errors
    /// It is not there.
    pub async fn get(&self, business: &BusinessId, id: &ContactId) -> Result<ContactView, ApiError> {
        let contact = self.store.contact(business, id).await?.ok_or_else(|| no_such(id))?;
        self.view(business, contact).await
    }

    /// Changes a contact.
    ///
    /// # Errors
    /// What is wrong with the change, or what stands in its way.
    pub async fn change(
        &self,
        business: &BusinessId,
        id: &ContactId,
        change: ContactChange,
        now: Millis,
    ) -> Result<ContactView, ApiError> {
        let change = change.checked(&self.store.definitions(business).await?).map_err(refuse)?;
        match self.store.change_contact(business, id, &change, now).await? {
            ContactChanged::Yes(contact) => self.view(business, *contact).await,
            ContactChanged::NoSuch => Err(no_such(id)),
            ContactChanged::WithoutAddress => Err(without_address()),
            ContactChanged::Taken(other) => Err(taken(&other)),
        }
    }

    /// Adds a contact, or changes the one that has its phone number or user id.
    ///
    /// # Errors
    /// What is wrong with it, or that the two addresses are of two contacts.
    pub async fn upsert(
        &self,
        business: &BusinessId,
        change: ContactChange,
        now: Millis,
    ) -> Result<ContactView, ApiError> {
        let change = change.checked(&self.store.definitions(business).await?).map_err(refuse)?;
        if change.addresses().is_empty() {
            return Err(without_address());
        }
        let results = self.store.upsert_contacts(business, std::slice::from_ref(&change), now).await?;
        match results.into_iter().next() {
            Some(Upserted::Created(contact) | Upserted::Updated(contact)) => self.view(business, contact).await,
            Some(Upserted::Refused(breach)) => Err(ApiError::breaches(ErrorKind::Conflict, vec![breach])),
            None => Err(ApiError::new(ErrorKind::Internal, "The request could not be carried out.")),
        }
    }

    /// Erases a contact. See the module's comment on what remains.
    ///
    /// # Errors
    /// It is not there.
    pub async fn erase(&self, by: &Actor, business: &BusinessId, id: &ContactId, now: Millis) -> Result<(), ApiError> {
        if self.store.erase_contact(by, business, id, now).await? { Ok(()) } else { Err(no_such(id)) }
    }

    /// Makes one contact of two. The survivor's fields win, tags are united, the stricter consent holds.
    ///
    /// # Errors
    /// One of them is not there, or both are the same.
    pub async fn merge(
        &self,
        by: &Actor,
        business: &BusinessId,
        (survivor, other): (&ContactId, &ContactId),
        now: Millis,
    ) -> Result<ContactView, ApiError> {
        if survivor == other {
            return Err(ApiError::breach("/other", "must be another contact"));
        }
        let merged = self.store.merge_contacts(by, business, (survivor, other), now).await?;
        let details = format!("There is no contact {survivor} or no contact {other} that you can see.");
        self.view(business, merged.ok_or_else(|| ApiError::new(ErrorKind::NotFound, details))?).await
    }

    /// A page of contacts.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub async fn list(
        &self,
        business: &BusinessId,
        query: &ContactQuery,
        paging: &Paging,
    ) -> Result<Page<ContactView>, ApiError> {
        let filter = self.filter(business, query).await?;
        let page = self.store.contacts(business, &filter, paging).await?;
        let Page { entries, next } = page;
        Ok(Page { entries: self.views(business, entries).await?, next })
    }

    async fn filter(&self, business: &BusinessId, query: &ContactQuery) -> Result<ContactFilter, ApiError> {
        let mut terms: Vec<String> = query.tag.iter().map(|tag| term_of_tag(tag.trim())).collect();
        if let Some(text) = &query.attribute {
            let wrong = |message: &str| ApiError::breach("?attribute", message);
            let (name, value) = text.split_once('=').ok_or_else(|| wrong("must be a name, \"=\" and a value"))?;
            let definitions = self.store.definitions(business).await?;
            let kind = definitions.get(name).ok_or_else(|| wrong("names no attribute that is defined"))?;
            terms.push(term_of_attribute(name, &kind.value_of_text(value)));
        }
        let updated_since = match &query.updated_since {
            Some(text) => Some(
                from_rfc3339(text)
                    .ok_or_else(|| ApiError::breach("?updated_since", "must be a time such as 2026-11-22T10:00:00Z"))?,
            ),
            None => None,
        };
        let address = address(query.phone.as_deref(), query.user_id.as_deref(), "?")?;
        Ok(ContactFilter { terms, address, updated_since, opted_out: query.opted_out })
    }

    /// The first line of an export: the names of its columns.
    ///
    /// # Errors
    /// The database's.
    pub async fn export_head(&self, business: &BusinessId) -> Result<(Vec<String>, String), ApiError> {
        let attributes: Vec<String> = self.store.definitions(business).await?.into_keys().collect();
        let own = EXPORTED.iter().map(|name| (*name).to_owned());
        let head = line(own.chain(attributes.iter().cloned()));
        Ok((attributes, head))
    }

    /// Some lines of an export, and where the next ones begin.
    ///
    /// # Errors
    /// The database's.
    pub async fn export_lines(
        &self,
        business: &BusinessId,
        attributes: &[String],
        after: Option<String>,
    ) -> Result<(String, Option<String>), ApiError> {
        let paging = Paging { after, limit: EXPORT_ROWS };
        let page = self.store.contacts(business, &ContactFilter::default(), &paging).await?;
        let next = page.next.and(page.entries.last().map(|contact| contact.id.key().to_owned()));
        Ok((page.entries.iter().map(|contact| export_line(contact, attributes)).collect(), next))
    }

    async fn view(&self, business: &BusinessId, contact: Contact) -> Result<ContactView, ApiError> {
        let views = self.views(business, vec![contact]).await?;
        views.into_iter().next().ok_or_else(|| ApiError::new(ErrorKind::Internal, "The contact could not be read."))
    }

    async fn views(&self, business: &BusinessId, contacts: Vec<Contact>) -> Result<Vec<ContactView>, ApiError> {
        let ids: Vec<&ContactId> = contacts.iter().map(|contact| &contact.id).collect();
        let mut histories = self.store.histories(business, &ids).await?;
        let mut people = Vec::with_capacity(contacts.len());
        for contact in &contacts {
            let of = contact.details.addresses().map(|address| self.store.person(business, &address));
            people.push(of.collect::<Result<Vec<_>, _>>()?);
        }
        let mut suppressed: HashMap<String, Vec<Suppressed>> = HashMap::new();
        for row in self.store.suppressed(&people.concat()).await? {
            suppressed.entry(row.person.clone()).or_default().push(row);
        }
        let view = |(contact, people): (Contact, Vec<String>)| {
            let history = histories.remove(contact.id.key()).unwrap_or_default();
            let mut opt_outs: Vec<OptOut> = Vec::new();
            for row in people.iter().filter_map(|person| suppressed.get(person)).flatten() {
                if !opt_outs.iter().any(|known| known.channel == row.channel && known.reach == row.reach) {
                    opt_outs.push(OptOut {
                        channel: row.channel.clone(),
                        reach: row.reach,
                        source: row.source,
                        since: row.created_at,
                    });
                }
            }
            ContactView { consents: current(&history).into_iter().cloned().collect(), opt_outs, contact }
        };
        Ok(contacts.into_iter().zip(people).map(view).collect())
    }

    /// Records what a contact agreed to, or took back.
    ///
    /// # Errors
    /// What is wrong with it, or that the contact is not there.
    pub async fn record_consent(
        &self,
        business: &BusinessId,
        contact: &ContactId,
        request: &ConsentRequest,
        now: Millis,
    ) -> Result<Consent, ApiError> {
        let line = request.line(now).map_err(refuse)?;
        match self.store.add_consent(business, contact, &line).await? {
            ConsentAdded::Yes => Ok(line),
            ConsentAdded::NoSuchContact => Err(no_such(contact)),
            ConsentAdded::TooMany => {
                Err(ApiError::new(ErrorKind::Conflict, "The history of this contact's consents is full."))
            }
        }
    }

    /// A page of what a contact agreed to and took back, oldest first.
    ///
    /// # Errors
    /// The contact is not there.
    pub async fn consents(
        &self,
        business: &BusinessId,
        contact: &ContactId,
        paging: &Paging,
    ) -> Result<Page<Consent>, ApiError> {
        if self.store.contact(business, contact).await?.is_none() {
            return Err(no_such(contact));
        }
        Ok(self.store.consents(business, contact, paging).await?)
    }

    /// The attributes that a business has defined.
    ///
    /// # Errors
    /// The database's.
    pub async fn attributes(&self, business: &BusinessId) -> Result<Vec<AttributeView>, ApiError> {
        Ok(self.store.attributes(business).await?)
    }

    /// Defines an attribute; one that is defined so already is left as it is.
    ///
    /// # Errors
    /// What is wrong with it, or that it is defined otherwise.
    pub async fn define(
        &self,
        by: &Actor,
        business: &BusinessId,
        (name, kind): (&str, AttributeKind),
        now: Millis,
    ) -> Result<AttributeView, ApiError> {
        if let Some(fault) = attribute_name_fault(name) {
            return Err(ApiError::breach("/name", fault));
        }
        match self.store.define_attribute(by, business, (name, kind), ATTRIBUTES_MAX, now).await? {
            Defined::Already(other) if other != kind => {
                let details = format!("\"{name}\" is a {} already; remove it first.", other.name());
                Err(ApiError::new(ErrorKind::Conflict, details))
            }
            Defined::TooMany => {
                let details = format!("{ATTRIBUTES_MAX} attributes are the most that can be defined.");
                Err(ApiError::new(ErrorKind::Conflict, details))
            }
            Defined::Yes | Defined::Already(_) => {
                let all = self.store.attributes(business).await?;
                let view = all.into_iter().find(|view| view.name == name);
                view.ok_or_else(|| ApiError::missing("contact attribute", &name))
            }
        }
    }

    /// Removes an attribute that no contact has.
    ///
    /// # Errors
    /// It is not there, or a contact has it.
    pub async fn undefine(&self, by: &Actor, business: &BusinessId, name: &str, now: Millis) -> Result<(), ApiError> {
        match self.store.undefine_attribute(by, business, name, now).await? {
            Undefined::Yes => Ok(()),
            Undefined::NoSuch => Err(ApiError::missing("contact attribute", &crate::messages::request::excerpt(name))),
            Undefined::InUse => {
                let details = "Contacts have a value of it; set it to null at those first.";
                Err(ApiError::new(ErrorKind::Conflict, details))
            }
        }
    }

    /// Protects somebody by hand.
    ///
    /// # Errors
    /// What is wrong with the request.
    pub async fn suppress(
        &self,
        by: &Actor,
        business: &BusinessId,
        request: &SuppressionRequest,
        now: Millis,
    ) -> Result<Suppression, ApiError> {
        let who = address(request.phone.as_deref(), request.user_id.as_deref(), "/")?.ok_or_else(without_address)?;
        let channel = request.channel.as_deref().unwrap_or(EVERY_CHANNEL);
        if let Some(fault) = channel_fault(channel) {
            return Err(ApiError::breach("/channel", fault));
        }
        if request.reason.as_ref().is_some_and(|reason| !is_line(reason, SUPPRESSION_REASON_MAX_CHARS)) {
            return Err(ApiError::breach("/reason", line_of(SUPPRESSION_REASON_MAX_CHARS)));
        }
        let new = NewSuppression {
            channel: channel.to_owned(),
            reach: request.reach.unwrap_or(Reach::All),
            source: SuppressionSource::Manual,
            detail: request.reason.clone(),
            confirmation_id: None,
        };
        Ok(self.store.suppress(by, business, &who, &new, now).await?.0)
    }

    /// A suppression.
    ///
    /// # Errors
    /// It is not there.
    pub async fn suppression(&self, business: &BusinessId, id: &SuppressionId) -> Result<Suppression, ApiError> {
        self.store.suppression(business, id).await?.ok_or_else(|| ApiError::missing("suppression", id))
    }

    /// Ends a suppression.
    ///
    /// # Errors
    /// It is not there.
    pub async fn lift(
        &self,
        by: &Actor,
        business: &BusinessId,
        id: &SuppressionId,
        now: Millis,
    ) -> Result<(), ApiError> {
        let lifted = self.store.lift_suppression(by, business, id, now).await?;
        if lifted { Ok(()) } else { Err(ApiError::missing("suppression", id)) }
    }

    /// A page of suppressions, all or of one person.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub async fn suppressions(
        &self,
        business: &BusinessId,
        (phone, user_id): (Option<&str>, Option<&str>),
        paging: &Paging,
    ) -> Result<Page<Suppression>, ApiError> {
        let address = address(phone, user_id, "?")?;
        Ok(self.store.suppressions(business, address.as_ref(), paging).await?)
    }

    /// What people are told when they opt out, and when they opt in again.
    ///
    /// # Errors
    /// The database's.
    pub async fn opt_out_texts(&self, business: &BusinessId) -> Result<(Option<String>, Option<String>), ApiError> {
        let texts = self.store.opt_out_texts(business).await?;
        Ok((texts.stop, texts.start))
    }

    /// Sets what people are told; nothing without a text.
    ///
    /// # Errors
    /// What is wrong with the texts.
    pub async fn set_opt_out_texts(
        &self,
        by: &Actor,
        business: &BusinessId,
        (stop, start): (Option<String>, Option<String>),
        now: Millis,
    ) -> Result<(), ApiError> {
        for (pointer, text) in [("/stop_text", &stop), ("/start_text", &start)] {
            let fits = |text: &String| !text.trim().is_empty() && text.chars().count() <= OPT_OUT_TEXT_MAX_CHARS;
            if text.as_ref().is_some_and(|text| !fits(text)) {
                let message = format!("must have 1 to {OPT_OUT_TEXT_MAX_CHARS} characters");
                return Err(ApiError::breach(pointer, message));
            }
        }
        Ok(self.store.set_opt_out_texts(by, business, &OptOutTexts { stop, start }, now).await?)
    }
}

/// The columns of an export that are not attributes.
const EXPORTED: [&str; 10] = [
    "id",
    "phone",
    "user_id",
    "profile_name",
    "given_name",
    "language",
    "time_zone",
    "tags",
    "created_at",
    "updated_at",
];

fn export_line(contact: &Contact, attributes: &[String]) -> String {
    let details = &contact.details;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let own = [
        contact.id.to_string(),
        text(&details.phone),
        text(&details.user_id),
        text(&details.profile_name),
        text(&details.given_name),
        text(&details.language),
        text(&details.time_zone),
        details.tags.iter().map(String::as_str).collect::<Vec<_>>().join("|"),
        crate::clock::rfc3339(contact.created_at),
        crate::clock::rfc3339(contact.updated_at),
    ];
    let value = |name: &String| match details.attributes.get(name) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    line(own.into_iter().chain(attributes.iter().map(value)))
}

/// A line of CSV (RFC 4180).
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| {
        if cell.contains(['"', ',', ';', '\t', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    let mut line = cells.map(quoted).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}
