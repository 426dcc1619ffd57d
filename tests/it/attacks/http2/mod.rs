//! Group H: HTTP/2 on both sides.

mod floods;
mod heads;
pub mod raw;
mod streams;
mod upstream;

use super::stage::Stage;

/// An item that everybody may have.
const ITEM: &str = "/v1/items/1";

/// What was asked, dialled, fetched and seen so far.
fn traces(stage: &Stage) -> [usize; 4] {
    let world = &stage.world;
    [
        world.lookups().len(),
        world.dials().len(),
        world.fetched().len(),
        stage.seen().len(),
    ]
}
