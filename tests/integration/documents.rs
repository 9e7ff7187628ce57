//! What runs is what is documented: requests that are made up from the OpenAPI documents are answered with nothing but
//! what the documents say, whatever is in them; and the documents' own examples hold against their schemas.

use std::{fs, process::Output};

use waystation_testkit::tools::Python;

use crate::support::{Profile, Site};

/// Requests that are made up for each operation, besides its examples.
const REQUESTS_PER_OPERATION: &str = "10";
/// What every answer is checked for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_is_answered_as_it_is_documented() {
    let python = Python::ready().expect("a Python with schemathesis");
    let mut site = Site::new(Profile::Embedded).await;
    site.set("limits.refused_per_minute", 1_000_000);
    let demo = site.demo(None);
    let info = demo.info();
    // Ids that exist, so that requests get further than to "not found".
    let config = site.folder().join("schemathesis.toml");
    let settings = format!(
        "[parameters]\n\
         \"path.version\" = \"v24.0\"\n\
         \"path.phone_number_id\" = \"{number}\"\n\
         \"path.node_id\" = \"{number}\"\n\
         \"path.sender\" = \"{number}\"\n\
         \"path.waba_id\" = \"{account}\"\n\
         \"path.business\" = \"{business}\"\n\
         \"query.input_token\" = \"{token}\"\n",
        number = info.phone_number_id,
        account = info.waba_id,
        business = info.business_id,
        token = info.token,
    );
    fs::write(&config, settings).expect("a file");
    for (document, token) in [("tenant", &info.token), ("partner", &info.partner_token)] {
        let mut command = python.program("schemathesis");
        command.arg("--config-file").arg(&config).arg("run");
        command.arg(format!("{}/openapi/{document}.json", info.base_url));
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
        command.args(["--checks", CHECKS, "--max-examples", REQUESTS_PER_OPERATION]);
        command.args(["--phases", "examples,fuzzing", "--generation-deterministic", "--workers", "2", "--no-color"]);
        let Output { status, stdout, stderr } = command.current_dir(site.folder()).output().expect("it runs");
        let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(status.success(), "{document}: {said}");
    }
}
