//! The protocols of the port beside gRPC, over HTTP/1.1 and HTTP/2.

mod clients;
mod connection;
mod cors;
mod get;
mod http;
mod open;
mod refusal;
mod size;
mod stream;
mod unary;
mod web;
