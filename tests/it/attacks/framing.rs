//! Group F: where a request ends, in HTTP/1.

use super::stage::{Door, Stage};

#[test]
fn f2_a_length_said_twice_is_refused() {
    let stage = Stage::usual();
    for door in Door::ALL {
        let lines = "Content-Length: 2\r\nContent-Length: 2\r\n";
        let sent = door.request("POST", "api.good.test", "/v1/items", lines, "ab");
        stage.refuses_and_closes(door, &sent, (400, "request_malformed"));
    }
}
