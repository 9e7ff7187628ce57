//! Waystation: a self-hosted, multi-tenant WhatsApp Business provider platform.
//!
//! The composition root and the command line, nothing else: [`config`] says how it is
//! to run, [`installation`] puts the rooms of the core together, [`server`] puts the
//! HTTP faces in front, and [`commands`], [`adapters`] and [`demo`] are what a person can ask for.

#![forbid(unsafe_code)]

mod adapters;
mod cli;
mod commands;
/// The typed configuration: file, environment, reference.
pub mod config;
mod demo;
mod installation;
mod server;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only when a provider is set already, and nothing ran before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("waystation: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command.unwrap_or_default() {
            Command::Serve(options) => commands::serve(cli.config.as_deref(), options).await,
            Command::Migrate(options) => commands::migrate(cli.config.as_deref(), options).await,
            Command::Demo(options) => demo::run(cli.config.as_deref(), options).await,
            Command::Openapi(options) => commands::openapi(&options),
            Command::Config(options) => commands::config(cli.config.as_deref(), &options),
            Command::Adapters(options) => adapters::run(cli.config.as_deref(), options).await,
            Command::Audit(options) => commands::audit(cli.config.as_deref(), options).await,
            Command::SignInLink(options) => commands::sign_in_link(cli.config.as_deref(), options).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("waystation: {error:#}");
            ExitCode::FAILURE
        }
    }
}
