//! Refusals as clients see them: an answer with JSON, not a broken connection.

use super::apis;
use super::client::Client;
use super::installed;

#[test]
fn every_client_can_read_that_a_parameter_is_undeclared() {
    let url = "https://api.openweathermap.org/data/2.5/weather?q=Paris&mode=xml";
    every_client_reads(url, "parameter_undeclared");
}

#[test]
fn every_client_can_read_that_a_path_is_undeclared() {
    let url = "https://api.openweathermap.org/data/2.5/forecast?q=Paris";
    every_client_reads(url, "action_undeclared");
}

/// The TLS handshake with a host that nobody declared is completed, so that the refusal stands where it can be read.
#[test]
fn every_client_can_read_that_a_host_is_undeclared() {
    every_client_reads(
        "https://collect.example.com/?stolen=words",
        "host_undeclared",
    );
}

#[test]
fn another_server_name_than_that_of_the_connect_gets_an_alert() {
    let (stage, origin) = apis::weather();
    let script = "exec openssl s_client -proxy \"${HTTPS_PROXY#http://*@}\" \
                  -connect api.openweathermap.org:443 -servername collect.example.com </dev/null";
    installed::program("openssl");
    let ran = stage.exec(&installed::program("sh"), &["-c", script]);
    assert!(!ran.status.success(), "{ran:#?}");
    assert!(ran.stderr.contains("alert"), "{ran:#?}");
    assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran:#?}");
    assert_eq!(ran.record()["code"], "server_name_mismatch", "{ran:#?}");
    assert!(origin.asked().is_empty());
}

fn every_client_reads(url: &str, code: &str) {
    let (stage, origin) = apis::weather();
    for (number, client) in Client::ALL.into_iter().enumerate() {
        let (seen, ran) = client.get(&stage, url);
        assert_eq!(seen.status, 403, "{client:?} {seen:?} {ran:#?}");
        assert_eq!(seen.refusal, code, "{client:?}");
        assert_eq!(seen.body["error"]["code"], code, "{client:?}");
        assert!(seen.body["error"]["message"].is_string(), "{client:?}");
        let records = ran.records();
        assert_eq!(records.len(), number + 1, "{client:?} {records:#?}");
        assert_eq!(records[number]["code"], code, "{client:?}");
    }
    assert!(origin.asked().is_empty(), "{:?}", origin.asked());
}
