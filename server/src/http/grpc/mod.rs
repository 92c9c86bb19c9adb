//! Reads over gRPC: `logproto.Querier`, health and reflection. Pushes are in `ingest`.
//!
//! Loki's services of this name are internal to it; what is here is the part of them that a client can
//! use: queries as text, answers in the shapes of `server/proto/logproto.proto`.

mod convert;
mod querier;
mod tail;

use std::sync::Arc;

use axum::Router;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use self::querier::QuerierService;
use crate::ingest::proto::DESCRIPTORS;
use crate::ingest::proto::logproto::querier_server::QuerierServer;
use crate::state::AppState;

/// The services that health is told of.
const SERVICES: [&str; 3] =
    ["logproto.Pusher", "logproto.Querier", "opentelemetry.proto.collector.logs.v1.LogsService"];

/// The routes of the services that read. Must be called within the runtime.
pub(super) fn routes(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    let querier = QuerierServer::new(QuerierService::new(Arc::clone(state)));
    let (reporter, health) = tonic_health::server::health_reporter();
    tokio::spawn(report(reporter, Arc::clone(state)));
    let mut routes = Router::new()
        .route_service("/logproto.Querier/{method}", querier)
        .route_service("/grpc.health.v1.Health/{method}", health);
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => {
            routes = routes
                .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1)
                .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", v1alpha);
        }
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no reflection"),
    }
    routes
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
