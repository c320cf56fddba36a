//! The only writer of journal and status. Whatever is to be done to the cluster is done with what comes out of here, so
//! that acting before writing does not compile.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use soak_api::{EVIDENCE_KEY, Evidence, JournalStatus, Phase, SOAK_TEST, SoakTest, SoakTestStatus};

use crate::aside::aside;
use crate::context::{Context, Error, belongs_to};
use crate::decide::is_over;
use crate::decision::{Announcement, Decision, Effect};
use crate::journal::{self, Journal, JournalError};

/// A ConfigMap holds one MiB; chunks stay well below.
const CHUNK_BYTES: u32 = 256 * 1024;

/// The newest entries stay in the status until they are so long: a kill has some 350 bytes.
const TAIL_BYTES: usize = 1_024;

/// And no longer than this, where they cannot be written.
const MOST_TAIL_BYTES: usize = 4_000;

/// What the evidence may take of a ConfigMap, which holds one MiB, encoded as base64 on its way.
const EVIDENCE_BYTES: usize = 700 * 1024;

/// How often writing it is tried, and how long that may take in all: a deadline may be near.
const EVIDENCE_TRIES: u32 = 3;
const EVIDENCE_PATIENCE: Duration = Duration::from_secs(4);

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
        evidence,
        mut announcements,
        ..
    } = decision;
    // Judging reads the whole journal, and so does whoever comes after the end.
    let closes =
        status.phase >= Phase::Judging && !is_over(test) && !status.journal.tail.is_empty();
    let longer = if journal.is_empty() && !closes {
        None
    } else {
        status.journal = append(test, &status, &journal, ctx).await?;
        longer(test, &status.journal, &journal, ctx)
    };
    if let Some(evidence) = evidence {
        match kept(test, *evidence, ctx).await {
            Ok(name) => status.evidence = Some(name),
            Err(problem) => announcements.push(Announcement {
                warning: true,
                reason: "EvidenceNotKept",
                about: "evidence".to_owned(),
                note: format!("there will be no report of this soak: {problem}"),
            }),
        }
    }
    // What is not changed needs no write, unless one came to an error and may be there all the same.
    let sure = !ctx.remembered(test).unsure;
    let test = if sure && test.status.as_ref() == Some(&status) {
        test.clone()
    } else {
        let patch = json!({
            "metadata": {"resourceVersion": test.resource_version()},
            "status": with_nulls(test, &status),
        });
        ctx.remember(test, |memory| memory.unsure = true);
        let mut written = ctx
            .api::<SoakTest>(test)
            .patch_status(
                &test.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await
            .map_err(Error::kube("write the status"))?;
        ctx.metrics.transition(test, &written);
        written.metadata.managed_fields = None;
        let written = Arc::new(written);
        ctx.remember(test, |memory| {
            memory.written = Some(written.clone());
            memory.unsure = false;
            // The verdict is on what is written, and not on what this process remembers.
            let judges = written
                .status
                .as_ref()
                .is_some_and(|s| s.phase == Phase::Judging);
            memory.journal = longer.or(memory.journal.take()).filter(|_| !judges);
        });
        written
    };
    announce(&test, announcements, ctx);
    Ok(Persisted { test, what: effect })
}

/// The journal, from memory where it holds what the status says, else from the cluster.
pub(crate) async fn journal(
    test: &SoakTest,
    ctx: &Context,
) -> Result<Result<Arc<Journal>, JournalError>, Error> {
    let expected = known(test);
    if let Some(known) = ctx.remembered(test).journal
        && is(&known, &expected)
    {
        return Ok(Ok(known));
    }
    let mut chunks = Vec::new();
    while let Some(chunk) = chunk(test, chunks.len(), ctx).await? {
        chunks.extend(chunk.data.into_iter().flatten().map(|(_, text)| text));
    }
    let read = Journal::read(chunks.iter().map(String::as_str), &expected).map(Arc::new);
    if let Ok(journal) = &read {
        ctx.remember(test, |memory| memory.journal = Some(journal.clone()));
    }
    Ok(read)
}

/// What the status says of the journal.
fn known(test: &SoakTest) -> JournalStatus {
    let status = test.status.as_ref();
    status
        .map(|status| status.journal.clone())
        .unwrap_or_default()
}

/// Whether this is the journal that the status speaks of.
fn is(journal: &Journal, status: &JournalStatus) -> bool {
    journal.head == status.head && journal.entries == status.entries as usize
}

/// Adds entries to the tail, and writes the tail to its ConfigMap where it grows too long, or no more is to come.
async fn append(
    test: &SoakTest,
    status: &SoakTestStatus,
    entries: &[journal::Entry],
    ctx: &Context,
) -> Result<JournalStatus, Error> {
    let mut longer = status.journal.clone();
    longer.tail.push_str(&journal::encode_all(entries));
    longer.entries += u32::try_from(entries.len()).unwrap_or(u32::MAX);
    if longer.tail.len() <= TAIL_BYTES && status.phase < Phase::Judging {
        return Ok(longer);
    }
    match written(test, &longer, ctx).await {
        Err(Error::Kube(_, cause)) if is_final(&cause) => {
            // A ConfigMap of that name that is not ours, a quota, a permission taken away: the soak must end all the same.
            tracing::warn!(soaktest = test.name_any(), error = %cause, "the journal cannot be written");
            if longer.tail.len() > MOST_TAIL_BYTES {
                // Fewer entries than the status counts: whoever reads it knows that it is torn.
                longer.tail.clone_from(&status.journal.tail);
            }
            Ok(longer)
        }
        // The outcome is set, and what the tail has is not lost: the end does not wait for it.
        Err(error) if status.phase > Phase::Judging && longer.tail.len() <= MOST_TAIL_BYTES => {
            tracing::warn!(soaktest = test.name_any(), %error, "the journal's last entries stay in the status");
            Ok(longer)
        }
        other => other,
    }
}

/// Whether the API server would say the same again.
fn is_final(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 408 | 429))
}

/// Writes the tail as a batch into the last chunk, or into another where that is full.
async fn written(
    test: &SoakTest,
    known: &JournalStatus,
    ctx: &Context,
) -> Result<JournalStatus, Error> {
    let head = journal::batch_name(&ctx.identity, ctx.now());
    let lines = journal::batch(&head, &known.head, &known.tail);
    let size = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let full = known.filled.saturating_add(size) > CHUNK_BYTES;
    let fresh = known.chunks == 0 || full;
    let place = if fresh {
        known.chunks
    } else {
        known.chunks - 1
    };
    let name = chunk_name(test, place as usize);
    // One that an operator began that could not write its status is taken up; one of an earlier SoakTest of the same name
    // is not ours, and goes by itself.
    let there = !fresh || chunk(test, place as usize, ctx).await?.is_some();
    if !there || !patched(test, &name, &json!({"data": {&head: &lines}}), ctx).await? {
        let begun = new_chunk(test, &name, &head, lines);
        ctx.api::<ConfigMap>(test)
            .create(&PostParams::default(), &begun)
            .await
            .map_err(Error::kube("begin a chunk of the journal"))?;
    }
    Ok(JournalStatus {
        chunks: place + 1,
        entries: known.entries,
        head,
        filled: if fresh { size } else { known.filled + size },
        tail: String::new(),
    })
}

/// Adds a batch to the chunk; `false` where somebody has taken the chunk away, which reading will notice.
async fn patched(
    test: &SoakTest,
    name: &str,
    batch: &serde_json::Value,
    ctx: &Context,
) -> Result<bool, Error> {
    let maps: Api<ConfigMap> = ctx.api(test);
    match maps
        .patch(name, &PatchParams::default(), &Patch::Merge(batch))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(Error::kube("append to the journal")(error)),
    }
}

/// Writes what reports are made of; the answer is the name of the ConfigMap that has it. It is worth a few tries and no
/// more: the outcome does not wait for it.
async fn kept(test: &SoakTest, evidence: Evidence, ctx: &Context) -> Result<String, String> {
    let encoded = aside(move || evidence.encode(EVIDENCE_BYTES)).await?;
    let bytes = encoded.map_err(|error| error.to_string())?;
    let map = ConfigMap {
        binary_data: Some([(EVIDENCE_KEY.to_owned(), ByteString(bytes))].into()),
        ..owned_map(test, format!("{}-evidence", test.name_any()))
    };
    let tries = async {
        let mut problem = String::new();
        for _ in 0..EVIDENCE_TRIES {
            if !ctx.leadership.may_act() {
                return Err("this operator does not lead any more".to_owned());
            }
            match put(test, &map, ctx).await {
                Ok(()) => return Ok(map.name_any()),
                Err(error) if is_final(&error) => return Err(error.to_string()),
                Err(error) => problem = error.to_string(),
            }
        }
        Err(problem)
    };
    let kept = tokio::time::timeout(EVIDENCE_PATIENCE, tries).await;
    kept.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// Creates the ConfigMap, or takes the place of one that an operator wrote that could not write its status; one that is not
/// this SoakTest's stays as it is.
async fn put(test: &SoakTest, map: &ConfigMap, ctx: &Context) -> kube::Result<()> {
    let maps: Api<ConfigMap> = ctx.api(test);
    let created = maps.create(&PostParams::default(), map).await;
    match created {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let there = maps.get_opt(&map.name_any()).await?;
            if !there.is_some_and(|there| belongs_to(&there, test)) {
                return Err(kube::Error::Api(status));
            }
            let (name, patch) = (map.name_any(), json!({"binaryData": map.binary_data}));
            let patched = maps
                .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            patched.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

/// The journal with more entries, where all of it is known.
fn longer(
    test: &SoakTest,
    status: &JournalStatus,
    entries: &[journal::Entry],
    ctx: &Context,
) -> Option<Arc<Journal>> {
    let remembered = ctx.remembered(test).journal;
    let whole = remembered.filter(|journal| is(journal, &known(test)))?;
    let mut longer = Arc::unwrap_or_clone(whole);
    for entry in entries {
        longer.add(entry.clone());
    }
    longer.head.clone_from(&status.head);
    Some(Arc::new(longer))
}

async fn chunk(test: &SoakTest, place: usize, ctx: &Context) -> Result<Option<ConfigMap>, Error> {
    let maps: Api<ConfigMap> = ctx.api(test);
    let map = maps
        .get_opt(&chunk_name(test, place))
        .await
        .map_err(Error::kube("read the journal"))?;
    Ok(map.filter(|map| belongs_to(map, test)))
}

fn new_chunk(test: &SoakTest, name: &str, batch: &str, lines: String) -> ConfigMap {
    ConfigMap {
        data: Some([(batch.to_owned(), lines)].into()),
        ..owned_map(test, name.to_owned())
    }
}

/// An empty ConfigMap that goes with the SoakTest.
fn owned_map(test: &SoakTest, name: String) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name);
    map.metadata.labels = Some([(SOAK_TEST.to_owned(), test.name_any())].into());
    map.metadata.owner_references = test.controller_owner_ref(&()).map(|owner| vec![owner]);
    map
}

fn chunk_name(test: &SoakTest, place: usize) -> String {
    format!("{}-journal-{place}", test.name_any())
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
                about,
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
                action: about.chars().take(128).collect(),
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
