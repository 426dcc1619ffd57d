//! Inputs that arrive in pieces: four bytes that say how long pieces are, over and over, and the bytes themselves.

/// The lengths, none of them zero, and the bytes; `None` where there are not even four.
pub(super) fn of(bytes: &[u8]) -> Option<([usize; 4], &[u8])> {
    let (lengths, bytes) = bytes.split_first_chunk()?;
    Some((lengths.map(|it: u8| usize::from(it).max(1)), bytes))
}

/// The bytes in pieces of these lengths.
pub(super) fn pieces<'b>(bytes: &'b [u8], lengths: &[usize]) -> impl Iterator<Item = &'b [u8]> {
    let mut rest = bytes;
    lengths.iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at(rest.len().min(*length));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
