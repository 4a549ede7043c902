//! How an agent comes to its certificate, and to the next one in time: it makes a key, asks by a `CertificateSigningRequest`, and looks
//! until the leader has signed it, or says why not. An agent without one does all that it does alone.

use crate::agent::peers::identity::{Identity, Trust};
use crate::kit::agents::SIGNER;
use crate::kit::error::{Error, chain};
use crate::process::clock;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::webhook::authority::request::ask;
use crate::write_steps;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec,
};
use kube::{Api, Client, ResourceExt};
use rcgen::KeyPair;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

write_steps! {
    /// A certificate is asked for.
    ASK,
}

/// A day: a certificate cannot be taken back, and a cluster whose API servers are away for some hours goes on.
const LIFE: i32 = 86_400;
const USAGES: [&str; 3] = ["digital signature", "server auth", "client auth"];
/// How often it is looked whether it was signed: at first, and when that takes longer.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_LATER: Duration = Duration::from_secs(10);
const SOON: u32 = 30;
/// A request that nobody has answered for so many looks is forgotten, and another one made: an hour.
const LOOKS: u32 = 390;
/// Of a younger certificate no doubt is heeded: anybody who reaches us can make us doubt, and each renewal is the leader's work.
const YOUNG: Duration = Duration::from_secs(3600);
/// After a failure; and how often it is judged anew whether it is time.
const PAUSE: Duration = Duration::from_secs(60);

/// Keeps this agent's certificate fresh until the stop.
pub(crate) async fn follow(identity: Arc<Identity>, client: Client, stop: CancellationToken) {
    let (mut said, mut failures) = (String::new(), 0_u32);
    let (mut is_doubted, mut made) = (false, None);
    loop {
        if is_doubted || is_due(&identity, clock::now()) {
            let obtained = tokio::select! {
                () = stop.cancelled() => return,
                obtained = obtain(&identity, &client) => obtained,
            };
            match obtained {
                Ok(()) => {
                    (said, failures) = (String::new(), 0);
                    made = Some(Instant::now());
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let now = chain(&error);
                    if said != now {
                        tracing::warn!(
                            error = now,
                            "this agent has no new certificate, and other agents are not spoken with when the old one is over; trying again"
                        );
                        said = now;
                    }
                }
            }
        }
        // Who is refused asks more and more seldom.
        let pause = PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(4)));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let doubted = futures::FutureExt::now_or_never(identity.doubted());
        is_doubted = doubted.is_some() && is_old(made);
    }
}

/// Whether a certificate was made so long ago that its authority may have been followed by another one.
fn is_old(made: Option<Instant>) -> bool {
    made.is_none_or(|made| made.elapsed() >= YOUNG)
}

fn is_due(identity: &Identity, now: Timestamp) -> bool {
    let trust = identity.trust();
    trust.is_none_or(|trust| now >= trust.validity.renewal() || now < trust.validity.from)
}

/// Asks, waits, and uses what was signed.
async fn obtain(identity: &Identity, client: &Client) -> Result<(), Error> {
    let key = KeyPair::generate().map_err(|error| Error::Invalid {
        what: "the cryptography".into(),
        why: error.to_string(),
    })?;
    let requests: Api<CertificateSigningRequest> = Api::all(client.clone());
    let request = request(identity.name(), &key)?;
    let made = writes::create(&requests, (&ASK).into(), &request).await?;
    let pem = answer(&requests, &made.name_any()).await?;
    let trust = Trust::of(&pem, &key, identity.name(), clock::now())?;
    tracing::info!(name = identity.name(), until = %trust.validity.until, "this agent has a new certificate");
    identity.set(trust);
    Ok(())
}

fn request(name: &str, key: &KeyPair) -> Result<CertificateSigningRequest, Error> {
    let mut request = CertificateSigningRequest {
        spec: CertificateSigningRequestSpec {
            request: ByteString(ask(name, key)?.into_bytes()),
            signer_name: SIGNER.into(),
            usages: Some(USAGES.map(str::to_owned).into()),
            expiration_seconds: Some(LIFE),
            ..CertificateSigningRequestSpec::default()
        },
        ..CertificateSigningRequest::default()
    };
    request.metadata.generate_name = Some("holdfast-agent-".into());
    Ok(request)
}

/// What was signed.
async fn answer(requests: &Api<CertificateSigningRequest>, name: &str) -> Result<Vec<u8>, Error> {
    let what = || format!("certificatesigningrequest {name}");
    let refused = |why: String| Error::Invalid { what: what(), why };
    for look in 0..LOOKS {
        tokio::time::sleep(if look < SOON { LOOK } else { LOOK_LATER }).await;
        let found = match bounded(CALL_LIMIT, "get", what(), requests.get_opt(name)).await {
            Ok(found) => found.ok_or_else(|| refused("somebody has deleted it".into()))?,
            // A new one would be one more for nothing: the API server is asked again for this one.
            Err(error) if error.code().is_none() => continue,
            Err(error) => return Err(error),
        };
        let Some(status) = found.status else {
            continue;
        };
        if let Some(certificate) = status.certificate.filter(|one| !one.0.is_empty()) {
            return Ok(certificate.0);
        }
        let conditions = status.conditions.unwrap_or_default();
        let is_no = |kind: &str| ["Denied", "Failed"].contains(&kind);
        if let Some(no) = conditions.into_iter().find(|one| is_no(&one.type_)) {
            let why = no.message.unwrap_or_default();
            return Err(refused(format!("{}: {why}", no.type_.to_lowercase())));
        }
    }
    Err(refused(
        "nobody has signed it: does a manager lead, and may it?".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::peers::identity::tests::authority;
    use crate::testkit::api_server::ApiServer;
    use crate::webhook::authority::Authority;
    use crate::webhook::authority::request::Request;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

    /// A leader answers the first request that comes.
    async fn leader(server: ApiServer, answer: impl Fn(&Request) -> serde_json::Value) {
        let made = loop {
            if let Some(made) = server.sent(&format!("POST {REQUESTS}")).pop() {
                break made;
            }
            tokio::task::yield_now().await;
        };
        let pem = STANDARD.decode(made["spec"]["request"].as_str().unwrap());
        let request = Request::read(&pem.unwrap()).unwrap();
        let path = format!("{REQUESTS}/generated-0");
        let mut object = server.stored(&path).unwrap();
        object["status"] = answer(&request);
        server.put(&path, object);
    }

    fn signed(authority: &Authority, request: &Request) -> serde_json::Value {
        let life = Duration::from_secs(600);
        let signed = authority.sign(request, life, clock::now()).unwrap();
        let pem = format!("{}{}", signed.certificate, authority.certificate());
        json!({ "certificate": STANDARD.encode(pem) })
    }

    #[tokio::test(start_paused = true)]
    async fn asks_for_its_own_name_and_uses_what_was_signed() {
        let (server, authority) = (ApiServer::default(), authority());
        let identity = Identity::new("n1").unwrap();
        assert!(is_due(&identity, clock::now()));
        let (client, leads) = (
            server.client(),
            leader(server, |one| signed(&authority, one)),
        );
        let (obtained, ()) = tokio::join!(obtain(&identity, &client), leads);
        obtained.unwrap();
        let validity = identity.trust().unwrap().validity;
        assert!(!is_due(&identity, clock::now()));
        assert!(is_due(&identity, validity.renewal()), "in time");
        assert!(
            is_due(&identity, jiff::Timestamp::UNIX_EPOCH),
            "the clock was set"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_makes_us_doubt_makes_us_ask_once_an_hour_at_most() {
        let (server, authority) = (ApiServer::default(), authority());
        let identity = Arc::new(Identity::new("n1").unwrap());
        let stop = CancellationToken::new();
        let asked = || server.sent(&format!("POST {REQUESTS}")).len();
        let doubting = async {
            leader(server.clone(), |one| signed(&authority, one)).await;
            while identity.trust().is_none() {
                tokio::time::sleep(LOOK).await;
            }
            for _ in 0..50 {
                identity.doubts();
                tokio::time::sleep(PAUSE).await;
            }
            let early = asked();
            for _ in 0..20 {
                identity.doubts();
                tokio::time::sleep(PAUSE).await;
            }
            stop.cancel();
            (early, asked())
        };
        let following = follow(Arc::clone(&identity), server.client(), stop.clone());
        let ((), asked) = tokio::join!(following, doubting);
        assert_eq!(asked, (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_with_its_sentence() {
        let server = ApiServer::default();
        let identity = Identity::new("n1").unwrap();
        let no = |_: &Request| json!({ "conditions": [{ "type": "Denied", "status": "True", "message": "not you" }] });
        let (client, leads) = (server.client(), leader(server, no));
        let (obtained, ()) = tokio::join!(obtain(&identity, &client), leads);
        let why = obtained.unwrap_err().to_string();
        assert!(why.contains("denied: not you"), "{why}");
        assert!(identity.trust().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_signs_is_given_up_and_said() {
        let server = ApiServer::default();
        let identity = Identity::new("n1").unwrap();
        let why = obtain(&identity, &server.client()).await.unwrap_err();
        assert!(why.to_string().contains("nobody has signed it"), "{why}");
        assert_eq!(server.sent(&format!("POST {REQUESTS}")).len(), 1);
    }
}
