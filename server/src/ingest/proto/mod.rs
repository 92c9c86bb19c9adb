//! The wire types of pushes and queries, generated from the files in `server/proto/`.

#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    rust_2018_idioms,
    reason = "generated; tests/generated_proto.rs keeps it as the generator writes it"
)]
#[rustfmt::skip]
pub mod logproto;

/// OpenTelemetry's log records.
#[allow(
    missing_docs,
    clippy::allow_attributes_without_reason,
    rust_2018_idioms,
    reason = "generated; tests/generated_proto.rs keeps it as the generator writes it"
)]
pub mod opentelemetry {
    pub mod proto {
        pub mod collector {
            pub mod logs {
                pub mod v1 {
                    include!("opentelemetry.proto.collector.logs.v1.rs");
                }
            }
        }
        pub mod common {
            pub mod v1 {
                include!("opentelemetry.proto.common.v1.rs");
            }
        }
        pub mod logs {
            pub mod v1 {
                include!("opentelemetry.proto.logs.v1.rs");
            }
        }
        pub mod resource {
            pub mod v1 {
                include!("opentelemetry.proto.resource.v1.rs");
            }
        }
    }
}

/// The files in `server/proto/` as a `google.protobuf.FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("descriptors.bin");
