//! Approves and signs what agents ask for: observe, plan, act.
//!
//! What an agent gets is its own certificate, and after it those of the authorities that it is to trust: by that it learns whom.

use crate::kit::agents::SIGNER;
use crate::kit::error::Error;
use crate::process::clock;
use crate::process::installation::Installation;
use crate::process::runner::{Runner, slow_look};
use crate::process::writes;
use crate::signer::plan::{Step, Wanted, plan};
use crate::signer::rolling::{self, LIFETIMES};
use crate::webhook::rollover::plan::Authorities;
use crate::webhook::store::Store;
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use tokio::sync::Mutex;

write_steps! {
    /// A request is approved, or denied.
    JUDGE,
    /// It gets its certificate, or is marked as failed.
    ANSWER,
}

const NAME: &str = "signer";
/// Why, for programs.
const REASON: &str = "HoldfastAgent";

/// What the controller works with.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// Without one there is no place for an authority, and no account of agents.
    pub(crate) installation: Option<Installation>,
}

struct Context {
    requests: Api<CertificateSigningRequest>,
    installation: Installation,
    /// The agents' user name.
    account: String,
    store: Store,
    /// What was kept when it was last looked: put back if somebody deletes it.
    known: Mutex<Option<Authorities>>,
}

/// Runs until the runner stops.
pub(crate) async fn run(runner: Runner, means: Means) -> Result<(), Error> {
    let Some(context) = context(means) else {
        runner.stop.cancelled().await;
        return Ok(());
    };
    let store = context.store.clone();
    let ours = watcher::Config::default().fields(&format!("spec.signerName={SIGNER}"));
    let controller = Controller::new(context.requests.clone(), ours);
    let signing = runner.run(NAME, controller, Arc::new(context), reconcile);
    let rolling = rolling::run(store, runner.stop.clone());
    tokio::try_join!(signing, rolling).map(|((), ())| ())
}

fn context(means: Means) -> Option<Context> {
    let Means {
        client,
        namespace,
        installation,
    } = means;
    let installation = installation?;
    let name = installation.name();
    Some(Context {
        requests: Api::all(client.clone()),
        account: format!("system:serviceaccount:{namespace}:{name}-agent"),
        store: Store::of_agents(client, &namespace, name, LIFETIMES.authority),
        known: Mutex::default(),
        installation,
    })
}

async fn reconcile(
    request: Arc<CertificateSigningRequest>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if let Some(step) = plan(&request, &context.account) {
        context.act(&request, step, clock::now()).await?;
    }
    Ok(Action::requeue(slow_look(&request.name_any())))
}

impl Context {
    async fn act(
        &self,
        request: &CertificateSigningRequest,
        step: Step,
        now: Timestamp,
    ) -> Result<(), Error> {
        let name = request.name_any();
        let mut next = request.clone();
        let status = next.status.get_or_insert_default();
        match step {
            Step::Approve => {
                let message = "it is the agent of its node that asks";
                conclude(status, ("Approved", message), now);
                writes::approve(&self.requests, (&JUDGE).into(), &next).await?;
            }
            Step::Deny(why) => {
                tracing::warn!(controller = NAME, name, why, "a certificate is denied");
                conclude(status, ("Denied", &why), now);
                writes::approve(&self.requests, (&JUDGE).into(), &next).await?;
            }
            Step::Sign(wanted) => {
                let certificate = self.certificate(&wanted, now).await?;
                status.certificate = Some(ByteString(certificate.into_bytes()));
                writes::replace_status(&self.requests, (&ANSWER).into(), &next).await?;
                let agent = wanted.request.name();
                tracing::info!(controller = NAME, name, agent, "a certificate is signed");
            }
            Step::Fail(why) => {
                tracing::warn!(
                    controller = NAME,
                    name,
                    why,
                    "what was approved is not signed"
                );
                conclude(status, ("Failed", &why), now);
                writes::replace_status(&self.requests, (&ANSWER).into(), &next).await?;
            }
        }
        Ok(())
    }

    /// The certificate, and after it those of all who are to be trusted.
    async fn certificate(&self, wanted: &Wanted, now: Timestamp) -> Result<String, Error> {
        let mut known = self.known.lock().await;
        let owner = self.installation.owner().await?;
        let kept = self.store.ensure(known.as_ref(), owner, now).await?;
        *known = Some(kept.authorities.clone());
        drop(known);
        let authorities = kept.authorities;
        let signed = authorities
            .current
            .sign(&wanted.request, wanted.life, now)?;
        let trusted = authorities.trusted(LIFETIMES.leaf, LIFETIMES.grace, now);
        Ok(format!("{}{trusted}", signed.certificate))
    }
}

/// Others' conditions stay: they may not be changed.
fn conclude(
    status: &mut CertificateSigningRequestStatus,
    (kind, message): (&str, &str),
    now: Timestamp,
) {
    let time = Some(Time(now));
    let conditions = status.conditions.get_or_insert_default();
    conditions.push(CertificateSigningRequestCondition {
        type_: kind.into(),
        status: "True".into(),
        reason: Some(REASON.into()),
        message: Some(message.into()),
        last_update_time: time.clone(),
        last_transition_time: time,
    });
}

#[cfg(test)]
mod tests;
