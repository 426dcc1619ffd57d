//! What a program behind `exeat exec` is not given.

use super::apis;
use super::installed;

#[test]
fn a_program_finds_no_secret_in_its_environment() {
    let (stage, _origin) = apis::weather();
    let stage = stage.secret("JIRA_API_TOKEN", apis::JIRA_TOKEN);
    let ran = stage.exec::<&str>(&installed::program("env"), &[]);
    let variables: Vec<&str> = ran
        .output()
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    for present in ["HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "HOME"] {
        assert!(variables.contains(&present), "{present}: {variables:?}");
    }
    for withheld in ["OPENWEATHER_API_KEY", "JIRA_API_TOKEN"] {
        assert!(!variables.contains(&withheld), "{withheld}");
    }
    assert!(!ran.mentions(apis::OPENWEATHER_KEY), "{ran:#?}");
    assert!(!ran.mentions(apis::JIRA_TOKEN), "{ran:#?}");
}
