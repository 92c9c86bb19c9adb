//! The wire types of pushes, generated from `server/proto/logproto.proto`.

#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    rust_2018_idioms,
    reason = "generated; tests/generated_proto.rs keeps it as the generator writes it"
)]
#[rustfmt::skip]
pub mod logproto;
