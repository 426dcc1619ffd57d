//! Group J: what is injected stays ours: replaced on the way out, scrubbed on the way back.
