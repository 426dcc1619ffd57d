//! Room for the bodies of all requests. Where a request ends is in `attacks::framing`.

use crate::world::{POLICY, Plan, json_reply};

#[test]
fn a_body_for_which_there_is_no_room_is_refused_and_the_room_of_others_comes_back() {
    let mut world = Plan::of(POLICY).room(60).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let json = ["Content-Type: application/json"];
    let send = |name: &str| {
        let body = format!("{{\"name\":\"{name}\",\"qty\":1}}");
        let url = "http://api.good.test/v1/items";
        world.client().send("POST", url, &json, &body)
    };
    for _ in 0..3 {
        let answer = send(&"a".repeat(50));
        assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
    }
    world.assert_nothing_left();
    // Together these have more than there is room for at a time.
    for _ in 0..5 {
        assert_eq!(send(&"a".repeat(30)).status, 200);
    }
    assert_eq!((origin.seen().len(), world.last_records().len()), (5, 8));
}
