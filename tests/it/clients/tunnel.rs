//! A declared tunnel: TLS goes through unopened, so the client meets the origin's own certificate.

use std::path::Path;

use serde_json::json;

use super::installed;
use super::origin;
use super::origin::Origin;
use super::stage::{Ran, Stage};

#[test]
fn a_client_in_a_tunnel_trusts_the_origins_own_ca() {
    let (stage, origin) = package_index();
    let ran = curl(&stage, Some(&stage.file("pypi.org.pem")));
    assert_eq!(
        ran.output(),
        r#"{"meta":{"api-version":"1.3"}}"#,
        "{ran:#?}"
    );
    assert_eq!(origin.asked().len(), 1);
    let terminal: Vec<_> = ran
        .records()
        .into_iter()
        .filter(|record| record["event"].is_null())
        .collect();
    assert_eq!(terminal.len(), 1, "{ran:#?}");
    assert_eq!(terminal[0]["host"], "pypi.org");
}

/// curl ends with 60 where it does not believe a certificate.
#[test]
fn a_client_in_a_tunnel_that_trusts_only_exeat_does_not_believe_the_origin() {
    let (stage, origin) = package_index();
    let ran = curl(&stage, None);
    assert_eq!(ran.status.code(), Some(60), "{ran:#?}");
    assert!(origin.asked().is_empty());
}

fn package_index() -> (Stage, Origin) {
    let origin = Origin::start("pypi.org", |_| {
        origin::json(200, &json!({"meta": {"api-version": "1.3"}}))
    });
    let stage = Stage::with_shipped_policies().reaching("pypi.org", &origin);
    (stage, origin)
}

fn curl(stage: &Stage, ca: Option<&Path>) -> Ran {
    let mut arguments = vec!["--silent".into(), "--show-error".into()];
    if let Some(ca) = ca {
        arguments.extend(["--cacert".into(), ca.as_os_str().to_owned()]);
    }
    arguments.push("https://pypi.org/simple/".into());
    stage.exec(&installed::program("curl"), &arguments)
}
