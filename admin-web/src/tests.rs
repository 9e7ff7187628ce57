use std::sync::Arc;

use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header},
    test::{self, TestRequest},
};
use tempfile::TempDir;
use waystation_core::{
    access::{LINK_LIFE_MS, issue_link},
    clock::now_ms,
    ids::{BusinessId, MessageId, SenderId},
    store::{Direction, NewMessage, Store, StoreSettings, StoreUrl},
};

use crate::{
    AdapterCard, Dashboard, configure,
    pages::{self, Frame, Page, TEMPLATES},
};

const STYLE: &str = include_str!("../assets/style.css");
const ICON: &str = include_str!("../assets/icon.svg");
/// Smallest contrast of text that WCAG AA allows.
const TEXT_CONTRAST: f64 = 4.5;
/// Smallest contrast of what marks a control or a part of a chart.
const MARK_CONTRAST: f64 = 3.0;

struct Fixture {
    store: Store,
    adapters: Vec<AdapterCard>,
    secure_cookies: bool,
    _folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let fixture = Self::with_empty_database().await;
        fixture.store.migrate(Direction::Up).await.unwrap();
        fixture
    }

    async fn with_empty_database() -> Self {
        let folder = TempDir::new().unwrap();
        let url = StoreUrl::Sqlite(folder.path().join("waystation.db"));
        let store = Store::open(&StoreSettings { url, connections: 4 }).await.unwrap();
        Self { store, adapters: Vec::new(), secure_cookies: true, _folder: folder }
    }

    async fn serve(
        &self,
    ) -> impl Service<actix_http_request::Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
        let adapters = self.adapters.clone();
        let dashboard = Dashboard {
            store: self.store.clone(),
            version: "1.2.3",
            adapters: Arc::new(move || adapters.clone()),
            secure_cookies: self.secure_cookies,
        };
        test::init_service(App::new().configure(configure(dashboard))).await
    }

    async fn link(&self) -> String {
        let link = issue_link(&self.store, "ada", now_ms()).await.unwrap();
        format!("/admin/sign-in?token={}", link.reveal())
    }
}
