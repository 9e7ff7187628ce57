//! The rooms for templates: who may do what, what is shown of what was written, and the way to a reviewer and back.

use serde_json::json;
use waystation_core::{
    ids::TemplateId,
    templates::{Draft, State, Syntax, TemplateFilter, TemplateView},
};

use super::*;

/// What a template might say to break out of a page.
const HOSTILE: &str = "</p><script>alert(1)</script> *<b>x</b>* _<i>_ ```</code><img src=x onerror=alert(2)>``` &amp;";

/// A template of `business` that waits for a reviewer.
pub(super) async fn hand_in(fixture: &Fixture, business: &BusinessId, name: &str) -> TemplateId {
    let draft = Draft {
        name: name.to_owned(),
        language: "en_US".to_owned(),
        category: "UTILITY".to_owned(),
        syntax: Syntax::Cloud,
        components: vec![json!({
            "type": "BODY",
            "text": "Hi {{1}}, your order is on its way.",
            "example": {"body_text": [["Ana"]]},
        })],
        ..Draft::default()
    };
    let (by, platform) = (Actor::operator(), Subtree::Platform);
    let templates = &fixture.dashboard.templates;
    templates.create((&by, &platform), business, &draft, true, now_ms()).await.unwrap().id
}

/// What is filled in for a template that passes the lint.
fn written(body: &str) -> Vec<(&str, &str)> {
    vec![
        ("name", "parcel_news"),
        ("language", "en_US"),
        ("category", "UTILITY"),
        ("header_format", "TEXT"),
        ("header_text", "News of your parcel"),
        ("body", body),
        ("footer", "North Bakery"),
        ("samples", "1 = Ana"),
        ("button_0_kind", "QUICK_REPLY"),
        ("button_0_text", "Thanks"),
    ]
}

impl Fixture {
    fn desk(&self, path: &str) -> String {
        format!("/admin/businesses/{}/templates{path}", self.business)
    }

    async fn templates(&self) -> Vec<TemplateView> {
        let filter = TemplateFilter { business: Some(self.business.clone()), ..TemplateFilter::default() };
        self.dashboard.templates.list(&Subtree::Platform, &filter, &Paging::default()).await.unwrap().entries
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_written_sent_back_corrected_and_approved() {
    let fixture = Fixture::new().await;
    let tenant = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "Viktor").await.cookie;
    assert!(fixture.open(&fixture.desk(""), &tenant).await.body.contains("No templates yet"));

    let mut wrong = written("Hi {{1}}, your parcel is on its way to you.");
    wrong[0].1 = "Parcel News";
    let refused = fixture.send(&fixture.desk("/new"), &tenant, &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert!(summary(&refused).contains("href=\"#name\""), "{}", refused.body);
    assert!(refused.body.contains("your parcel is on its way") && refused.body.contains("value=\"Thanks\""));
    assert!(fixture.templates().await.is_empty());

    let mut fields = written("Hi {{1}}, your parcel is on its way to you.");
    fields.push(("submit", "1"));
    let saved = fixture.send(&fixture.desk("/new"), &tenant, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let template = fixture.templates().await.remove(0);
    assert_eq!(template.latest.state, State::PendingInternal);
    let own = fixture.desk(&format!("/{}", template.id));
    assert!(saved.leads_to(&own));

    let queue = fixture.open("/admin/templates", &reviewer).await.body;
    assert!(queue.contains("parcel_news") && queue.contains("Bakery") && queue.contains("North"), "{queue}");
    let narrowed = fixture.open("/admin/templates?category=marketing", &reviewer).await.body;
    assert!(narrowed.contains("Nothing like that waits"));
    let page = format!("/admin/templates/{}", template.id);
    let shown = fixture.open(&page, &reviewer).await.body;
    assert!(shown.contains("Hi <mark>Ana</mark>, your parcel is on its way to you."), "{shown}");
    for key in ["a", "c", "r"] {
        assert!(shown.contains(&format!("accesskey=\"{key}\"")), "{key}");
    }
    let decide = format!("{page}/decide");
    let unsaid = [("decision", "request_changes"), ("version", "1"), ("reason", " ")];
    let unsaid = fixture.send(&decide, &reviewer, &unsaid).await;
    assert_eq!(unsaid.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(summary(&unsaid).contains("href=\"#reason-changes\""), "{}", unsaid.body);
    let sent_back = [("decision", "request_changes"), ("version", "1"), ("reason", "Say <which> parcel.")];
    assert!(fixture.send(&decide, &reviewer, &sent_back).await.leads_to("/admin/templates"));

    let told = fixture.open(&own, &tenant).await.body;
    assert!(told.contains("Say &lt;which&gt; parcel.") && told.contains("changes asked for"), "{told}");
    let desk = fixture.open(&format!("{own}/edit"), &tenant).await.body;
    assert!(
        desk.contains("your parcel is on its way") && desk.contains("1 &#x3D; Ana") && desk.contains("Say &lt;which")
    );
    let mut fields = written("Hi {{1}}, your blue parcel is on its way to you.");
    fields.push(("submit", "1"));
    let changed = fixture.send(&format!("{own}/edit"), &tenant, &fields).await;
    assert!(changed.leads_to(&own), "{}", changed.body);

    let late = fixture.send(&decide, &reviewer, &[("decision", "approve"), ("version", "1")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "the version that was looked at is not the newest");
    let shown = fixture.open(&page, &reviewer).await.body;
    assert!(shown.contains("your <ins>blue </ins>parcel"), "{shown}");
    assert!(shown.contains("as before"));
    assert!(
        fixture
            .send(&decide, &reviewer, &[("decision", "approve"), ("version", "2")])
            .await
            .leads_to("/admin/templates")
    );
    let list = fixture.open(&fixture.desk(""), &tenant).await.body;
    assert!(list.contains("approved") && list.contains("en_US"), "{list}");
    let archived = fixture.send(&format!("{own}/step"), &tenant, &[("step", "archive")]).await;
    assert!(archived.leads_to(&own));
    assert_eq!(fixture.templates().await[0].latest.state, State::Archived);
    let again = fixture.send(&format!("{own}/step"), &tenant, &[("step", "submit")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    assert_eq!(
        fixture.send(&format!("{own}/step"), &tenant, &[("step", "accept")]).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_decides_on_a_template_of_their_own_and_is_told_why() {
    let fixture = Fixture::new().await;
    let owner = fixture.owner().await.cookie;
    let mut fields = written("Hi {{1}}, your parcel is on its way to you.");
    fields.push(("submit", "1"));
    assert_eq!(fixture.send(&fixture.desk("/new"), &owner, &fields).await.status, StatusCode::SEE_OTHER);
    let page = format!("/admin/templates/{}", fixture.templates().await[0].id);
    let shown = fixture.open(&page, &owner).await.body;
    assert!(shown.contains("Not yours to decide") && !shown.contains("id=\"approve-form\""), "{shown}");
    let decision = [("decision", "approve"), ("version", "1")];
    let refused = fixture.send(&format!("{page}/decide"), &owner, &decision).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    assert!(refused.body.contains("Not yours to decide") && refused.body.contains("class=\"error-summary\""));
    let other = fixture.sign_in_as(RoleKind::Reviewer, "Viktor").await.cookie;
    assert!(fixture.open(&page, &other).await.body.contains("id=\"approve-form\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_shows_what_would_come_of_a_form_and_keeps_nothing() {
    let fixture = Fixture::new().await;
    let tenant = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let desk = fixture.open(&fixture.desk("/new"), &tenant).await;
    let preview = fixture.desk("/preview");
    assert!(desk.body.contains(&format!("data-preview=\"{preview}\"")));
    assert!(desk.body.contains(&format!("formaction=\"{preview}\"")), "without a script the button does the same");
    assert!(desk.header(header::CONTENT_SECURITY_POLICY).contains("connect-src 'self'"));
    assert!(!fixture.home(&tenant).await.header(header::CONTENT_SECURITY_POLICY).contains("connect-src"));

    let fields = written("Hi *{{1}}*, your parcel ships. \u{1f382}");
    let answer = fixture.send(&preview, &tenant, &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(answer.body.contains("Hi <mark><strong>Ana</strong></mark>, your parcel ships."), "{}", answer.body);
    assert!(answer.body.contains("in 2 parts, UCS-2"), "{}", answer.body);
    assert!(answer.body.contains("value=\"parcel_news\"") && answer.body.contains("Save draft"));
    let mut fields = written("");
    fields[2].1 = "NEWS";
    let answer = fixture.send(&preview, &tenant, &fields).await;
    assert!(answer.body.contains("href=\"#category\"") && answer.body.contains("badge bad"), "{}", answer.body);
    assert!(fixture.templates().await.is_empty());
    let unreadable = fixture.send(&preview, &tenant, &[("samples", "no equals sign")]).await;
    assert_eq!(unreadable.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(summary(&unreadable).contains("line 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_template_is_shown_as_text_wherever_it_is_shown() {
    let fixture = Fixture::new().await;
    let (by, platform) = (Actor::operator(), Subtree::Platform);
    let reviewer = fixture.sign_in_as(RoleKind::Reviewer, "Viktor").await.cookie;
    let tenant = fixture.sign_in_as(RoleKind::BusinessOwner, "Ben").await.cookie;
    let draft = |footer: &str| Draft {
        name: "hostile".to_owned(),
        language: "en_US".to_owned(),
        category: "MARKETING".to_owned(),
        components: vec![
            json!({"type": "BODY", "text": format!("Hello: {HOSTILE} there.")}),
            json!({"type": "FOOTER", "text": footer}),
            json!({"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "\"><b>x</b>"}]}),
        ],
        ..Draft::default()
    };
    let templates = &fixture.dashboard.templates;
    let created = templates.create((&by, &platform), &fixture.business, &draft("<i>one</i>"), false, 1).await.unwrap();
    let change = waystation_core::templates::Change {
        components: Some(draft("<i>two</i>").components),
        ..waystation_core::templates::Change::default()
    };
    templates.change((&by, &platform), created.id, change, true, 2).await.unwrap();
    let own = fixture.desk(&format!("/{}", created.id));
    for (path, cookie) in [
        (format!("/admin/templates/{}", created.id), &reviewer),
        ("/admin/templates".to_owned(), &reviewer),
        (own, &tenant),
        (fixture.desk(""), &tenant),
    ] {
        let page = fixture.open(&path, cookie).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert_eq!(page.body.matches("<script").count(), 1, "{path}: our own alone");
        for broken in ["<img", "onerror=alert(2)>", "<b>x", "<i>"] {
            assert!(!page.body.contains(broken), "{path} has {broken}");
        }
        assert!(faults(&page.body).is_empty(), "{path}: {:?}", faults(&page.body));
    }
    let preview = fixture.send(&fixture.desk("/preview"), &tenant, &written(HOSTILE)).await;
    assert_eq!(preview.body.matches("<script").count(), 1);
    assert!(!preview.body.contains("<img") && faults(&preview.body).is_empty(), "{:?}", faults(&preview.body));
}
