//! A gRPC client over the connection that hyper gives.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::TestServer;

/// An HTTP/2 connection.
pub async fn connect<B>(address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// A connection as the gRPC client wants it.
pub struct Channel(SendRequest<tonic::body::Body>);

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A client on a connection of its own.
pub async fn client(address: SocketAddr) -> Grpc<Channel> {
    let origin = Uri::try_from(format!("http://{address}")).unwrap();
    Grpc::with_origin(Channel(connect(address).await), origin)
}

/// A request, for a tenant or for none.
pub fn request<M>(tenant: Option<&'static str>, message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    if let Some(tenant) = tenant {
        request.metadata_mut().insert("x-scope-orgid", tenant.parse().unwrap());
    }
    request
}

/// Calls a method that takes a message and answers one.
pub fn call<M, R>(
    server: &TestServer,
    method: &'static str,
    tenant: Option<&'static str>,
    message: M,
) -> Result<R, Status>
where
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Default + Send + 'static,
{
    call_compressed(server, method, tenant, message, None)
}

/// The same with a message that is compressed.
pub fn call_compressed<M, R>(
    server: &TestServer,
    method: &'static str,
    tenant: Option<&'static str>,
    message: M,
    compression: Option<CompressionEncoding>,
) -> Result<R, Status>
where
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Default + Send + 'static,
{
    block_on(async {
        let mut client = client(server.address()).await;
        if let Some(compression) = compression {
            client = client.send_compressed(compression);
        }
        let codec = ProstCodec::<M, R>::default();
        let method = PathAndQuery::from_static(method);
        let answer = client.unary(request(tenant, message), method, codec).await;
        answer.map(tonic::Response::into_inner)
    })
}

/// Calls a method with what a client shows of itself, and takes what comes back as it is.
pub fn call_as(
    server: &TestServer,
    method: &'static str,
    authorization: Option<&str>,
) -> Result<(), Status> {
    block_on(async {
        let mut client = client(server.address()).await;
        let mut request = request(None, ());
        if let Some(authorization) = authorization {
            request.metadata_mut().insert("authorization", authorization.parse().unwrap());
        }
        let codec = ProstCodec::<(), ()>::default();
        let method = PathAndQuery::from_static(method);
        client.server_streaming(request, method, codec).await.map(drop)
    })
}

/// Calls a method that takes a message and answers one or many, of which the first counts, with metadata.
pub fn call_with<M, R>(
    server: &TestServer,
    method: &'static str,
    metadata: &[(&'static str, &str)],
    message: M,
) -> Result<Option<R>, Status>
where
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Default + Send + 'static,
{
    block_on(async {
        let mut client = client(server.address()).await;
        let mut request = request(None, message);
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let codec = ProstCodec::<M, R>::default();
        let method = PathAndQuery::from_static(method);
        let answer = client.server_streaming(request, method, codec).await?;
        answer.into_inner().message().await
    })
}

/// Calls a method that takes a message and answers many; all of them.
pub fn call_streaming<M, R>(
    server: &TestServer,
    method: &'static str,
    message: M,
) -> Result<Vec<R>, Status>
where
    M: prost::Message + Default + Send + 'static,
    R: prost::Message + Default + Send + 'static,
{
    block_on(async {
        let mut client = client(server.address()).await;
        let codec = ProstCodec::<M, R>::default();
        let method = PathAndQuery::from_static(method);
        let answer = client.server_streaming(request(None, message), method, codec).await?;
        let mut answers = answer.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer);
        }
        Ok(all)
    })
}
