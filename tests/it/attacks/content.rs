//! Group E: paths, queries, headers and bodies that two readers could read in two ways.

use super::stage::{Door, Stage};

#[test]
fn e1_a_dot_segment_is_refused_and_never_resolved() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for path in ["/v1/items/../admin", "/v1/items/.", "/../v1/items/1"] {
            stage.refuses(door, &door.get(path), (400, "path_not_canonical"));
        }
        stage.serves(door, &door.get("/v1/items/1"));
    }
}
