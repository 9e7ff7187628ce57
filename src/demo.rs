//! `demo`: a business that can send at once.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use waystation_core::{
    access,
    audit::Actor,
    clock::now_ms,
    credentials::{GrantRequest, Issued},
    ids::BusinessId,
    onboarding::Reviewer,
    templates::{Action, Decision, Draft, Templates},
    tenancy::{BusinessRequest, EndpointRequest, ResellerRequest, Sender, SenderRequest, Subtree},
};

use crate::{
    cli::{self, Role},
    commands::{self, TemporaryFolder},
    config::Config,
    server::{self, Running},
};

/// A recipient of the sandbox network who gets and reads every message.
const RECIPIENT: &str = "16505550001";
/// The demo sender's own number.
const SENDER_PHONE: &str = "15550783881";
const TEMPLATE_NAME: &str = "order_update";
/// The template that brings one-time passwords.
const PASSWORD_TEMPLATE_NAME: &str = "verification_code";
const TEMPLATE_LANGUAGE: &str = "en_US";

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    base_url: String,
    token: String,
    partner_token: String,
    business_id: String,
    phone_number_id: String,
    waba_id: String,
    app_secret: String,
    verify_token: String,
    template: TemplateName,
    recipient: &'static str,
    dashboard_url: String,
    sign_in_url: String,
}

#[derive(Serialize)]
struct TemplateName {
    name: &'static str,
    language: &'static str,
}

/// Runs the demo until it is told to stop.
pub(crate) async fn run(file: Option<&Path>, options: cli::Demo) -> anyhow::Result<()> {
    let (json, webhook) = (options.json, options.webhook.clone());
    let (config, temporary) = configure(commands::load_config(file)?, options)?;
    commands::start_logging(&config);
    let data_dir = config.data_dir.clone();
    let running = server::start(config, &Role::ALL, file).await?;
    let summary = furnish(&running, webhook.as_deref()).await?;
    if json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", for_people(&summary, &data_dir, webhook.as_deref()));
    }
    let result = running.until_stopped().await;
    drop(temporary);
    result
}

/// The demo's configuration: what is configured, in a folder and on a port of its own,
/// and free to call endpoints on this machine.
fn configure(mut config: Config, options: cli::Demo) -> anyhow::Result<(Config, Option<TemporaryFolder>)> {
    let temporary = match options.data {
        Some(folder) => {
            config.data_dir = folder;
            None
        }
        None => {
            let folder = TemporaryFolder::create("demo")?;
            config.data_dir = folder.path().to_owned();
            Some(folder)
        }
    };
    config.server.listen.set_port(options.port);
    config.database.url = options.database;
    if let Some(queue) = options.queue {
        config.queue.url = queue;
    }
    config.egress.allow_private_networks = true;
    Ok((config, temporary))
}

/// Creates the demo's reseller, business, sender, key, template and endpoint.
async fn furnish(running: &Running, webhook: Option<&str>) -> anyhow::Result<Summary> {
    let installation = running.installation();
    let (store, now) = (&installation.store, now_ms());
    let verify_token = Issued::token().reveal().to_owned();
    let (by, platform) = (Actor::operator(), Subtree::Platform);

    let reseller = ResellerRequest { name: "Demo Reseller".to_owned(), ..ResellerRequest::default() };
    let reseller = installation.registry.create_reseller(&by, &platform, &reseller, now).await?.id;
    let request = BusinessRequest { name: "Demo Bakery".to_owned(), ..BusinessRequest::default() };
    let (business, app_secret) =
        installation.registry.create_business(&by, &platform, &reseller, &request, now).await?;
    let sender = SenderRequest {
        phone: SENDER_PHONE.to_owned(),
        display_name: "Demo Bakery".to_owned(),
        ..SenderRequest::default()
    };
    let sender = installation.registry.add_sender(&by, &platform, &business.id, &sender, now).await?.sender;
    installation.registry.vouch(&business.id, now).await?;
    let owner = installation.credentials.owner(&platform, Some(&business.id)).await?;
    let grant = GrantRequest { name: "demo".to_owned(), mode: Some("live".to_owned()), ..GrantRequest::default() };
    let (_, key) = installation.credentials.issue_key(&by, &owner, &grant, now).await?;
    let partner = installation.credentials.reseller_owner(&platform, &reseller).await?;
    let grant = GrantRequest { name: "demo".to_owned(), ..GrantRequest::default() };
    let (_, partner_key) = installation.credentials.issue_key(&by, &partner, &grant, now).await?;
    add_templates(&installation.templates, &business.id).await?;
    if let Some(url) = webhook {
        let endpoint = EndpointRequest { url: url.to_owned(), verify_token: verify_token.clone() };
        let added = installation.registry.add_endpoint(&by, &platform, &business.id, &endpoint, now).await;
        added.context("the webhook could not be registered")?;
    }
    let link = access::owner_link(store, false, now).await?;
    Ok(summary(running, (&key, &partner_key), &sender, app_secret, verify_token, &link))
}

/// Adds templates and lets them through: the command line is where everything begins, and nobody in particular.
async fn add_templates(templates: &Templates, business: &BusinessId) -> anyhow::Result<()> {
    let order_update = json!([
        {
            "type": "BODY",
            "text": "Hi {{1}}, your order {{2}} is on its way.",
            "example": {"body_text": [["Ana", "A-17"]]},
        },
        {"type": "FOOTER", "text": "Demo Bakery"},
    ]);
    let password = json!([
        {"type": "BODY", "add_security_recommendation": true},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]},
    ]);
    let (by, platform) = (Actor::operator(), Subtree::Platform);
    for (name, category, components) in
        [(TEMPLATE_NAME, "UTILITY", order_update), (PASSWORD_TEMPLATE_NAME, "AUTHENTICATION", password)]
    {
        let draft = Draft {
            name: name.to_owned(),
            language: TEMPLATE_LANGUAGE.to_owned(),
            category: category.to_owned(),
            components: components.as_array().cloned().unwrap_or_default(),
            ..Draft::default()
        };
        let template = templates.create((&by, &platform), business, &draft, true, now_ms()).await?;
        let decision = Decision { action: Action::Approve, reason: None, version: None };
        templates.decide(&Reviewer::vouched(by.clone()), &platform, template.id, &decision, now_ms()).await?;
    }
    Ok(())
}

fn summary(
    running: &Running,
    (key, partner_key): (&Issued, &Issued),
    sender: &Sender,
    app_secret: String,
    verify_token: String,
    link: &Issued,
) -> Summary {
    let base_url = running.base_url.clone();
    Summary {
        token: key.reveal().to_owned(),
        partner_token: partner_key.reveal().to_owned(),
        business_id: sender.business.to_string(),
        phone_number_id: sender.id.to_string(),
        waba_id: sender.account.to_string(),
        app_secret,
        verify_token,
        template: TemplateName { name: TEMPLATE_NAME, language: TEMPLATE_LANGUAGE },
        recipient: RECIPIENT,
        dashboard_url: server::dashboard_url(&base_url),
        sign_in_url: server::sign_in_url(&base_url, link.reveal()),
        base_url,
    }
}

fn for_people(summary: &Summary, data_dir: &Path, webhook: Option<&str>) -> String {
    let Summary { base_url, token, phone_number_id, recipient, .. } = summary;
    let body = json!({
        "messaging_product": "whatsapp",
        "to": recipient,
        "type": "template",
        "template": {
            "name": summary.template.name,
            "language": {"code": summary.template.language},
            "components": [{"type": "body", "parameters": [
                {"type": "text", "text": "Ana"},
                {"type": "text", "text": "A-17"},
            ]}],
        },
    });
    let told = match webhook {
        Some(url) => format!("Statuses go to {url}, signed with the app secret {}.", summary.app_secret),
        None => "Run again with --webhook URL to be told of every status.".to_owned(),
    };
    format!(
        "Waystation demo: {base_url}\n\
         \n\
         Dashboard        {dashboard}\n\
         Sign in once     {sign_in}\n\
         API reference    {base_url}/docs/\n\
         Data folder      {data}\n\
         \n\
         Demo Bakery may send from phone number id {phone_number_id}, account {waba},\n\
         over the sandbox network: nothing leaves this machine. {told}\n\
         \n\
         Its reseller's key, for /partner/v1: {partner}\n\
         \n\
         Send a message:\n\
         \n\
         curl -sS {base_url}/v24.0/{phone_number_id}/messages -H 'Authorization: Bearer {token}' \\\n  \
         -H 'Content-Type: application/json' -d '{body}'\n\
         \n\
         Follow it, with the id from the answer:\n\
         \n\
         curl -sS {base_url}/v1/messages/ID/events -H 'Authorization: Bearer {token}'\n\
         \n\
         Ctrl-C stops it.\n",
        dashboard = summary.dashboard_url,
        sign_in = summary.sign_in_url,
        data = data_dir.display(),
        waba = summary.waba_id,
        partner = summary.partner_token,
    )
}
