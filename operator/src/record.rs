//! The only writer of journal and status. Whatever is to be done to the cluster is done with what comes out of here, so
//! that acting before writing does not compile.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use soak_api::{JournalStatus, SOAK_TEST, SoakTest};

use crate::context::{Context, Error, belongs_to};
use crate::decide::{Announcement, Decision, Effect};
use crate::journal::{self, Journal, JournalError};

/// A ConfigMap holds one MiB; chunks stay well below.
const CHUNK_BYTES: usize = 256 * 1024;

/// Something that is written down, with the SoakTest as it was written.
#[derive(Debug)]
pub(crate) struct Persisted<T> {
    pub(crate) test: Arc<SoakTest>,
    what: T,
}

impl<T> Persisted<T> {
    /// What was written down.
    pub(crate) fn into_inner(self) -> T {
        self.what
    }
}

/// Writes the decision down: first the journal, then the status. A SoakTest that has changed meanwhile is a conflict,
/// and nothing is done.
pub(crate) async fn record(
    test: &Arc<SoakTest>,
    decision: Decision,
    ctx: &Context,
) -> Result<Persisted<Effect>, Error> {
    let Decision {
        mut status,
        journal,
        effect,
        announcements,
        ..
    } = decision;
    let longer = if journal.is_empty() {
        None
    } else {
        let (longer, written) = append(test, &journal, ctx).await?;
        status.journal = written;
        Some(longer)
    };
    let test = if test.status.as_ref() == Some(&status) {
        test.clone()
    } else {
        let patch = json!({
            "metadata": {"resourceVersion": test.resource_version()},
            "status": with_nulls(test, &status),
        });
        let written = ctx
            .api::<SoakTest>(test)
            .patch_status(
                &test.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await
            .map_err(Error::kube("write the status"))?;
        ctx.metrics.transition(test, &written);
        let written = Arc::new(written);
        ctx.remember(test, |memory| {
            memory.written = Some(written.clone());
            if let Some(longer) = longer {
                memory.journal = longer.map(Arc::new);
            }
        });
        written
    };
    announce(&test, announcements, ctx);
    Ok(Persisted { test, what: effect })
}

/// The journal, from memory where it ends with the batch that the status names, else from the cluster.
pub(crate) async fn journal(
    test: &SoakTest,
    ctx: &Context,
) -> Result<Result<Arc<Journal>, JournalError>, Error> {
    let expected = test
        .status
        .as_ref()
        .map(|status| status.journal.clone())
        .unwrap_or_default();
    if let Some(known) = ctx.remembered(test).journal
        && known.head == expected.head
    {
        return Ok(Ok(known));
    }
    let mut chunks = Vec::new();
    while let Some(chunk) = chunk(test, chunks.len(), ctx).await? {
        chunks.push(text(&chunk).to_owned());
    }
    let read = Journal::read(chunks.iter().map(String::as_str), &expected).map(Arc::new);
    if let Ok(journal) = &read {
        ctx.remember(test, |memory| memory.journal = Some(journal.clone()));
    }
    Ok(read)
}

/// Appends to the last chunk, or begins another, for the status to name what was written. The journal with it, too, where
/// all of it is known.
async fn append(
    test: &SoakTest,
    entries: &[journal::Entry],
    ctx: &Context,
) -> Result<(Option<Journal>, JournalStatus), Error> {
    let known = test
        .status
        .as_ref()
        .map(|status| status.journal.clone())
        .unwrap_or_default();
    let head = journal::batch_name(&ctx.identity, ctx.now());
    let lines = journal::encode_batch(&head, &known.head, entries);
    let mut place = known.chunks.saturating_sub(1) as usize;
    let maps: Api<ConfigMap> = ctx.api(test);
    loop {
        match chunk(test, place, ctx).await? {
            Some(map) if text(&map).len() + lines.len() <= CHUNK_BYTES => {
                let mut longer = map.clone();
                let all = format!("{}{lines}", text(&map));
                longer
                    .data
                    .get_or_insert_default()
                    .insert("journal".to_owned(), all);
                maps.replace(&map.name_any(), &PostParams::default(), &longer)
                    .await
                    .map_err(Error::kube("append to the journal"))?;
                break;
            }
            Some(_) => place += 1,
            None => {
                maps.create(
                    &PostParams::default(),
                    &new_chunk(test, place, lines.clone()),
                )
                .await
                .map_err(Error::kube("begin a chunk of the journal"))?;
                break;
            }
        }
    }
    let remembered = ctx.remembered(test).journal;
    let whole = remembered.filter(|journal| journal.head == known.head);
    let longer = whole.map(|journal| {
        let mut longer = Arc::unwrap_or_clone(journal);
        for entry in entries {
            longer.add(entry.clone());
        }
        longer.head.clone_from(&head);
        longer
    });
    let written = JournalStatus {
        chunks: u32::try_from(place + 1).unwrap_or(u32::MAX),
        entries: known.entries + u32::try_from(entries.len()).unwrap_or(u32::MAX),
        head,
    };
    Ok((longer, written))
}

async fn chunk(test: &SoakTest, place: usize, ctx: &Context) -> Result<Option<ConfigMap>, Error> {
    let maps: Api<ConfigMap> = ctx.api(test);
    let map = maps
        .get_opt(&chunk_name(test, place))
        .await
        .map_err(Error::kube("read the journal"))?;
    // A chunk of an earlier SoakTest of the same name, not yet collected, is not ours.
    Ok(map.filter(|map| belongs_to(map, test)))
}

fn new_chunk(test: &SoakTest, place: usize, lines: String) -> ConfigMap {
    let mut map = ConfigMap {
        data: Some([("journal".to_owned(), lines)].into()),
        ..ConfigMap::default()
    };
    map.metadata.name = Some(chunk_name(test, place));
    map.metadata.labels = Some([(SOAK_TEST.to_owned(), test.name_any())].into());
    map.metadata.owner_references = test.controller_owner_ref(&()).map(|owner| vec![owner]);
    map
}

fn chunk_name(test: &SoakTest, place: usize) -> String {
    format!("{}-journal-{place}", test.name_any())
}

fn text(map: &ConfigMap) -> &str {
    map.data
        .as_ref()
        .and_then(|data| data.get("journal"))
        .map_or("", String::as_str)
}

/// The status as a merge patch: a field that was there and is not any more has to be nulled, or it would stay.
fn with_nulls(test: &SoakTest, status: &soak_api::SoakTestStatus) -> serde_json::Value {
    let mut new = serde_json::to_value(status).unwrap_or_default();
    let old = serde_json::to_value(&test.status).unwrap_or_default();
    null_missing(&old, &mut new);
    new
}

fn null_missing(old: &serde_json::Value, new: &mut serde_json::Value) {
    if let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) {
        for (key, value) in old {
            null_missing(value, new.entry(key).or_insert(serde_json::Value::Null));
        }
    }
}

/// Publishes in the background: a lost event of Kubernetes is not worth a late soak.
fn announce(test: &Arc<SoakTest>, announcements: Vec<Announcement>, ctx: &Context) {
    if announcements.is_empty() {
        return;
    }
    let (recorder, reference) = (ctx.recorder.clone(), reference(test));
    let name = test.name_any();
    tokio::spawn(async move {
        for announcement in announcements {
            let Announcement {
                warning,
                reason,
                note,
            } = announcement;
            tracing::info!(soaktest = name, reason, "{note}");
            let event = Event {
                type_: if warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: reason.to_owned(),
                note: Some(note.chars().take(1_000).collect()),
                action: reason.to_owned(),
                secondary: None,
            };
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::warn!(%error, soaktest = name, "failed to publish an event");
            }
        }
    });
}

fn reference(test: &SoakTest) -> ObjectReference {
    ObjectReference {
        resource_version: None,
        ..test.object_ref(&())
    }
}
