//! Reads over gRPC: `logproto.Querier`, health and reflection. Pushes are in `ingest`.
//!
//! Loki's services of this name are internal to it; what is here is the part of them that a client can
//! use: queries as text, answers in the shapes of `server/proto/logproto.proto`.

mod convert;
mod querier;
mod tail;

use std::sync::Arc;

use axum::routing::any_service;
use tokio::runtime::Handle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use self::querier::QuerierService;
use super::routes::{READ, Routes};
use crate::access::Need;
use crate::ingest::proto::DESCRIPTORS;
use crate::ingest::proto::logproto::querier_server::QuerierServer;
use crate::state::AppState;

/// The services that health is told of.
const SERVICES: [&str; 3] =
    ["logproto.Pusher", "logproto.Querier", "opentelemetry.proto.collector.logs.v1.LogsService"];

/// The routes of the services that read. Whether they serve is told where there is a runtime.
pub(super) fn routes(routes: Routes, state: &Arc<AppState>) -> Routes {
    let querier = QuerierServer::new(QuerierService::new(Arc::clone(state)));
    let (reporter, health) = tonic_health::server::health_reporter();
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(report(reporter, Arc::clone(state)));
    }
    let routes = routes.add(READ, "/logproto.Querier/{method}", any_service(querier)).add(
        Need::Nothing,
        "/grpc.health.v1.Health/{method}",
        any_service(health),
    );
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            let path = "/grpc.reflection.v1.ServerReflection/{method}";
            let path_alpha = "/grpc.reflection.v1alpha.ServerReflection/{method}";
            routes.add(Need::Anyone, path, any_service(v1)).add(
                Need::Anyone,
                path_alpha,
                any_service(v1alpha),
            )
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "no reflection");
            routes
        }
    }
}

/// Says that the services serve, and when they do no more.
async fn report(reporter: HealthReporter, state: Arc<AppState>) {
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let mut stopping = state.tails.stopping();
    // The state has the sender.
    drop(state);
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
    for service in SERVICES.into_iter().chain([""]) {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}
