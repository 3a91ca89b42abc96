//! The same of a platform that runs, through its API: also where its stores are SQLite.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, RequestBuilder};
use roomlog_query_api::quarantine::{
    ProjectionName, QuarantineList, QuarantinedView, Retry, RetryRequested, SubjectKind,
};
use roomlog_web::Problem;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Shown, print};
use crate::config::Config;
use crate::files;

const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked whether a retry has come to its end.
const LOOK: Duration = Duration::from_millis(200);
/// Without a record less for this long, no projector is at it.
const NO_PROGRESS: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, clap::Args)]
pub struct Platform {
    /// Ask the platform that runs here, instead of its stores: for the quarantine only.
    #[arg(long)]
    url: Option<String>,
    /// File of the administrator's token; by default the data folder's.
    #[arg(long, requires = "url")]
    token_file: Option<PathBuf>,
}

impl Platform {
    /// `None` where the stores are meant.
    pub fn remote(&self, config: &Config) -> anyhow::Result<Option<Remote>> {
        let Some(url) = &self.url else { return Ok(None) };
        let token_file = self.token_file.clone().unwrap_or_else(|| config.administrator_token_file());
        Ok(Some(Remote {
            client: Client::builder().timeout(TIMEOUT).build()?,
            url: url.trim_end_matches('/').to_owned(),
            token: files::read_administrator_token(&token_file)?,
        }))
    }
}

pub struct Remote {
    client: Client,
    url: String,
    token: String,
}

impl Remote {
    pub async fn list(&self, json: bool) -> anyhow::Result<()> {
        let rows = self.quarantined().await?;
        if rows.is_empty() && !json {
            println!("Nothing is in quarantine.");
        }
        for row in rows {
            if json {
                println!("{}", serde_json::to_string(&row)?);
            } else {
                print(&row.into());
            }
        }
        Ok(())
    }

    /// Waits until everything concerned has been retried, or nobody does it.
    pub async fn retry(&self, projection: ProjectionName, subject_id: Option<Uuid>) -> anyhow::Result<()> {
        let before = self.of(projection, subject_id).await?;
        if before.is_empty() {
            println!("Nothing of it is in quarantine there.");
            return Ok(());
        }
        let body = Retry { projection, subject_id };
        let request = self.request(Method::POST, "/v1/quarantine/retries").json(&body);
        match answer::<RetryRequested>(request).await? {
            Ok(_) => {}
            // It ended by itself since.
            Err(problem) if problem.code == "not_in_quarantine" => {}
            Err(problem) => bail!(said(&problem)),
        }
        let mut left = 0;
        for row in before {
            left += usize::from(!self.wait(projection, &row).await?);
        }
        if left > 0 {
            bail!("{left} stay in quarantine");
        }
        Ok(())
    }

    /// Whether the quarantine of the subject is over.
    async fn wait(&self, projection: ProjectionName, before: &QuarantinedView) -> anyhow::Result<bool> {
        let subject = before.subject_id;
        let mut records = before.records;
        let mut deadline = Instant::now() + NO_PROGRESS;
        loop {
            let Some(now) = self.of(projection, Some(subject)).await?.pop() else {
                println!("{subject} is complete again: {} records were applied.", before.records);
                return Ok(true);
            };
            if now.failed_retries > before.failed_retries {
                print(&now.into());
                return Ok(false);
            }
            if now.records < records {
                deadline = Instant::now() + NO_PROGRESS;
            }
            records = now.records;
            if Instant::now() >= deadline {
                println!("{subject}: not done yet; a projector will do it once one runs.");
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn of(
        &self,
        projection: ProjectionName,
        subject: Option<Uuid>,
    ) -> anyhow::Result<Vec<QuarantinedView>> {
        let mut rows = self.quarantined().await?;
        let name = roomlog_stores::progress::Projection::from(projection).name();
        rows.retain(|row| row.projection == name && subject.is_none_or(|subject| row.subject_id == subject));
        Ok(rows)
    }

    async fn quarantined(&self) -> anyhow::Result<Vec<QuarantinedView>> {
        match answer::<QuarantineList>(self.request(Method::GET, "/v1/quarantine")).await? {
            Ok(list) => Ok(list.items),
            Err(problem) => bail!(said(&problem)),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}

impl From<QuarantinedView> for Shown {
    fn from(view: QuarantinedView) -> Self {
        Self {
            projection: view.projection,
            is_root_room: view.kind == SubjectKind::RootRoom,
            subject: view.subject_id,
            partition: view.partition,
            records: view.records,
            first_offset: view.first_offset,
            since: view.since,
            failed_retries: view.failed_retries,
            error: view.error,
        }
    }
}

/// What was asked for, or the problem that the platform tells of.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<Result<T, Problem>> {
    let response = request.send().await.context("the platform does not answer")?;
    let status = response.status();
    let body = response.bytes().await.context("the platform's answer breaks off")?;
    if status.is_success() {
        return Ok(Ok(serde_json::from_slice(&body).context("the platform's answer cannot be read")?));
    }
    let unknown = |_| Problem::new(status, "unknown", format!("The platform answered {status}."));
    Ok(Err(serde_json::from_slice(&body).unwrap_or_else(unknown)))
}

fn said(problem: &Problem) -> String {
    format!("the platform refuses: {} ({})", problem.title, problem.code)
}
