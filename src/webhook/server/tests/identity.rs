//! Who may speak to whom: versions of TLS, protocols, and clients with certificates.

use super::*;
use crate::process::clock;
use crate::webhook::tls::Certificate;
use crate::webhook::tls::tests::Secret;
use std::path::PathBuf;

fn version(
    config: ClientConfig,
    only: &'static rustls::SupportedProtocolVersion,
    roots: RootCertStore,
) -> ClientConfig {
    drop(config);
    ClientConfig::builder_with_protocol_versions(&[only])
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn tls_1_2_is_refused_unless_it_is_asked_for() {
    for (oldest, is_served) in [(OldestTls::V1_3, false), (OldestTls::V1_2, true)] {
        let world = start_with(PATIENT, oldest, None);
        let old = version(
            world.client_config(),
            &rustls::version::TLS12,
            world.authority.roots(),
        );
        let client = world.try_connect(old).await;
        assert_eq!(client.is_ok(), is_served, "{oldest:?}");
        if let Ok(mut client) = client {
            assert_eq!(ask(&mut client, AT_ONCE, &question("u")).await.code, 200);
            assert_eq!(ask(&mut client, POST, &question("u")).await.code, 200);
        }
        let new = version(
            world.client_config(),
            &rustls::version::TLS13,
            world.authority.roots(),
        );
        assert!(world.try_connect(new).await.is_ok());
    }
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let world = start(PATIENT);
    let mut both = world.client_config();
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = world.try_connect(both).await.unwrap();
    assert_eq!(
        client.get_ref().get_ref().1.alpn_protocol(),
        Some(&b"http/1.1"[..])
    );
    let mut only = world.client_config();
    only.alpn_protocols = vec![b"h2".to_vec()];
    assert!(world.try_connect(only).await.is_err());
}

#[tokio::test]
async fn before_there_is_a_certificate_no_handshake_succeeds_and_then_each_does() {
    crate::install_crypto();
    let mut world = start(PATIENT);
    let served = Arc::<Served>::default();
    let setup = Setup {
        endpoints: Vec::new(),
        tls: config(OldestTls::V1_3, Arc::clone(&served), None).unwrap(),
        metrics: world.telemetry.webhooks.clone(),
        stop: CancellationToken::new(),
    };
    let anywhere = Listen::At("127.0.0.1:0".parse().unwrap());
    world.server = serve(anywhere, setup).unwrap().unwrap();
    assert!(world.try_connect(world.client_config()).await.is_err());
    served.set(world.authority.key());
    assert!(world.try_connect(world.client_config()).await.is_ok());
}

/// A file with an authority, gone with the test.
struct File(PathBuf);

impl File {
    fn new(test: &str, authority: &Authority) -> Self {
        let path = std::env::temp_dir().join(format!("holdfast-{}-{test}.crt", std::process::id()));
        std::fs::write(&path, authority.0.pem()).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Whether a client with this certificate is served. With TLS 1.3 a client learns of a refusal when it reads.
async fn is_served(
    world: &World,
    certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> bool {
    let builder = ClientConfig::builder().with_root_certificates(world.authority.roots());
    let config = match certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let Ok(mut client) = world.try_connect(config).await else {
        return false;
    };
    let answered = try_ask(&mut client, POST, &question("u")).await;
    answered.is_ok_and(|answered| answered.code == 200)
}

#[tokio::test]
async fn only_clients_with_the_right_certificate_and_name_are_served() {
    let (right, wrong) = (Authority::new("right"), Authority::new("wrong"));
    let file = File::new("names", &right);
    let names = vec!["apiserver".to_owned(), "api.example.org".to_owned()];
    let checked = Checked::read(&file.0, names).unwrap();
    let world = start_with(PATIENT, OldestTls::V1_3, Some(checked));
    for (certificate, expected) in [
        (None, false),
        (Some(right.issue("apiserver", &[])), true),
        (Some(right.issue("else", &["api.example.org"])), true),
        (Some(right.issue("else", &["other.example.org"])), false),
        (Some(wrong.issue("apiserver", &[])), false),
    ] {
        let what = certificate.is_some();
        assert_eq!(
            is_served(&world, certificate).await,
            expected,
            "{what} {expected}"
        );
    }
    let any = Checked::read(&file.0, Vec::new()).unwrap();
    let world = start_with(PATIENT, OldestTls::V1_3, Some(any));
    assert!(is_served(&world, Some(right.issue("whoever", &[]))).await);
    assert!(!is_served(&world, Some(wrong.issue("whoever", &[]))).await);
}

#[tokio::test]
async fn the_clients_authority_follows_its_file() {
    crate::install_crypto();
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let file = File::new("follows", &first);
    let checked = Checked::read(&file.0, Vec::new()).unwrap();
    assert!(!checked.look_again().unwrap());
    std::fs::write(&file.0, second.0.pem()).unwrap();
    assert!(checked.look_again().unwrap());
    std::fs::write(&file.0, "nothing").unwrap();
    let error = checked.look_again().unwrap_err().to_string();
    assert!(error.contains("the clients' authority"), "{error}");
    let world = start_with(PATIENT, OldestTls::V1_3, Some(checked));
    assert!(
        is_served(&world, Some(second.issue("c", &[]))).await,
        "the last good one stays"
    );
    assert!(!is_served(&world, Some(first.issue("c", &[]))).await);
}

/// One client asks on a connection that stays, another on a new one each time, while the files change as the kubelet changes them: the
/// next change comes when a new connection has met the last one.
#[tokio::test]
async fn no_request_is_lost_while_the_secret_is_swapped_again_and_again() {
    const SWAPS: usize = 25;
    let world = start(PATIENT);
    let secret = Secret::new("traffic");
    let swap = |version: usize| {
        let (issued, key) = world.authority.sign("server", &[NAME]);
        secret.write(&format!("v{version}"), &issued.pem(), &key.serialize_pem());
        issued.der().clone()
    };
    swap(0);
    let mut certificate = Certificate::read(&secret.0, Arc::clone(&world.served)).unwrap();
    let met = tokio::sync::watch::Sender::new(None);
    let is_over = CancellationToken::new();
    let staying = async {
        let mut client = world.connect().await;
        let mut asked = 0;
        while !is_over.is_cancelled() {
            assert_eq!(ask(&mut client, POST, &question("stays")).await.code, 200);
            asked += 1;
        }
        asked
    };
    let coming = async {
        while !is_over.is_cancelled() {
            let mut client = world.connect().await;
            assert_eq!(ask(&mut client, AT_ONCE, &question("new")).await.code, 200);
            let (_, session) = client.get_ref().get_ref();
            met.send_replace(Some(session.peer_certificates().unwrap()[0].clone()));
        }
    };
    let swapping = async {
        let mut meets = met.subscribe();
        for version in 1..=SWAPS {
            let new = swap(version);
            assert!(certificate.keep_up(clock::now()), "swap {version} is seen");
            let is_met = meets.wait_for(|met| met.as_ref() == Some(&new));
            tokio::time::timeout(IN_TIME, is_met)
                .await
                .unwrap()
                .unwrap();
        }
        is_over.cancel();
    };
    let (asked, (), ()) = tokio::join!(staying, coming, swapping);
    assert!(asked > SWAPS, "{asked}");
}
