//! Servers and interpreters as people run them, from Debian's packages.

use super::driver::{self, GROWS, Program, SAME, container, shell};
use crate::migrating::name;
use crate::world::{World, eventually};
use serde_json::{Value, json};
use std::future::ready;

pub(super) const REDIS: Program = Program {
    name: "redis",
    keeps: "Redis under a user of its own and `RuntimeDefault`: 100,000 keys, its run id, its uptime going on; a client in another pod loses its connection, connects again and goes on where it was",
    is_quick: true,
    spec: || {
        let mut one =
            container("exec redis-server --bind 0.0.0.0 --protected-mode no --save '' --dir /tmp");
        one["securityContext"] =
            json!({ "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } });
        one["readinessProbe"] = json!({ "tcpSocket": { "port": 6379 }, "periodSeconds": 1 });
        json!({ "containers": [one] })
    },
    prepare: &[
        "redis-cli eval \"for i = 1, 100000 do redis.call('set', 'key:' .. i, i) end return 1\" 0",
    ],
    same: &[
        "redis-cli info server | grep -E 'run_id|process_id|redis_version'",
        "redis-cli eval \"local s = 0 for i = 1, 100000 do s = s + redis.call('get', 'key:' .. i) end return s\" 0",
    ],
    grows: &["redis-cli info server | sed -n 's/^uptime_in_seconds:\\([0-9]*\\).*/\\1/p'"],
    after: &["redis-cli set written afterwards | grep OK"],
};

pub(super) const NGINX: Program = Program {
    name: "nginx",
    keeps: "nginx with two workers of another user: its processes, a page that was changed, its log in a file of the container, and requests that are answered",
    is_quick: true,
    spec: || {
        let settings = "user www-data; worker_processes 2; daemon off; error_log /dev/stderr; pid /run/nginx.pid; events {} \
            http { access_log /var/log/nginx/access.log; server { listen 80; root /var/www/html; } }";
        let mut one = container(&format!(
            "echo '{settings}' > /etc/nginx/nginx.conf; exec nginx"
        ));
        one["readinessProbe"] = json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 1 });
        json!({ "containers": [one] })
    },
    prepare: &["echo changed > /var/www/html/page"],
    same: &[
        "ps -o pid=,ppid=,user=,args= -C nginx",
        "busybox wget -qO- http://127.0.0.1/page",
        "cat /run/nginx.pid",
    ],
    grows: &[
        "busybox wget -qO /dev/null http://127.0.0.1/page && wc -l < /var/log/nginx/access.log",
    ],
    after: &[
        "test $(ps -o user= -C nginx | grep -c www-data) = 2",
        "nginx -s reload",
    ],
};

pub(super) const POSTGRES: Program = Program {
    name: "postgres",
    keeps: "PostgreSQL in an emptyDir: a table, its postmaster's start time, and a session that is in the middle of a transaction",
    is_quick: true,
    spec: || {
        let mut one = container(
            "mkdir -p /data/here && chown postgres /data/here && cd /data && mkfifo -m 666 in && \
             { until psql -U postgres -c 'select 1' > /data/out 2>&1; do sleep 0.1; done; exec psql -U postgres <> /data/in > /data/out 2>&1; } & \
             exec setpriv --reuid postgres --regid postgres --clear-groups sh -c '\
             PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; initdb -A trust -D /data/here && exec postgres -D /data/here'",
        );
        one["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        json!({ "containers": [one], "volumes": [{ "name": "data", "emptyDir": {} }] })
    },
    prepare: &[
        "psql -U postgres -c 'create table if not exists t (n bigint primary key)'",
        "psql -U postgres -c 'insert into t select generate_series(1, 50000) on conflict do nothing'",
        // The session reads what stands here, and nobody else.
        "echo 'begin; insert into t values (0); select 1 as is_open;' >> /data/in; until grep is_open /data/out; do sleep 0.1; done",
    ],
    same: &[
        "psql -U postgres -Atc 'select pg_postmaster_start_time(), count(*), sum(n) from t where n <= 50000'",
        "psql -U postgres -Atc \"select pid, xact_start, backend_start from pg_stat_activity where state = 'idle in transaction'\"",
        "psql -U postgres -Atc 'select system_identifier from pg_control_system()'",
    ],
    grows: &["psql -U postgres -qAtc \"insert into t select max(n) + 1 from t returning n\""],
    after: &[
        "test $(psql -U postgres -Atc 'select count(*) from t where n = 0') = 0",
        "echo 'commit; select 1 as is_over;' >> /data/in; until grep is_over /data/out; do sleep 0.1; done",
        "test $(psql -U postgres -Atc 'select count(*) from t where n = 0') = 1",
        "psql -U postgres -c checkpoint",
    ],
};

pub(super) const INTERPRETER: Program = Program {
    name: "interpreter",
    keeps: "CPython with threads, a lock and a queue, and an asyncio loop with timers, a server, a child behind pipes and a pool of threads: all of them go on",
    is_quick: true,
    spec: || driver::python(&[include_str!("interpreter.py")]),
    prepare: &[],
    same: &[SAME],
    grows: &[GROWS],
    after: &[],
};

pub(super) const MACHINE: Program = Program {
    name: "jvm",
    keeps: "a JVM with a heap of 100,000 entries, a pool of threads and a garbage collector at work",
    is_quick: true,
    spec: || {
        let mut spec = shell(
            "printf %s \"$PROGRAM\" > /program.js; exec java -cp /usr/share/java/js.jar org.mozilla.javascript.tools.shell.Main /program.js",
        );
        let one = &mut spec["containers"][0];
        one["env"] = json!([{ "name": "PROGRAM", "value": include_str!("machine.js") }]);
        one["readinessProbe"] = json!({ "tcpSocket": { "port": 8000 }, "periodSeconds": 1 });
        spec
    },
    prepare: &[],
    same: &[SAME],
    grows: &[GROWS],
    after: &[],
};

/// A client in another pod is connected all the while, by way of a Service.
pub(super) async fn keeps_a_client(world: &World) {
    let before = driver::starts(world, &REDIS).await;
    driver::apply(
        world,
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "redis" },
            "spec": { "selector": { "app": "redis" }, "ports": [{ "port": 6379 }] },
        }),
    );
    let server = world.kubectl("get service redis -o jsonpath={.spec.clusterIP}");
    driver::apply(world, &client(&server));
    let (first, counted) = client_has(world, |_, value| value > 20).await;
    let after = driver::moves(world, REDIS.name, &before.pod).await;
    driver::is_the_same(world, &REDIS, &before, &after).await;
    client_has(world, |connection, value| {
        connection > first && value > counted + 20
    })
    .await;
    // What the server had confirmed is there, and nothing is counted twice; of the last one the client may not have heard.
    let log = world.kubectl("logs client");
    let values: Vec<u64> = answers(&log).into_iter().map(|(_, value)| value).collect();
    let odd: Vec<_> = values
        .windows(2)
        .filter(|two| !(1..=2).contains(&two[1].wrapping_sub(two[0])))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(log.contains("lost"), "the client has seen nothing of it");
    assert_ne!(name(&after), name(&before.pod));
    world.kubectl("delete pod/client service/redis --timeout=60s");
    driver::ends(world, REDIS.name).await;
}

fn client(server: &str) -> Value {
    let mut one = container("exec python3 -c \"$PROGRAM\"");
    one["env"] = json!([{ "name": "PROGRAM", "value": include_str!("client.py") }, { "name": "SERVER", "value": server }]);
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "client" },
        "spec": { "terminationGracePeriodSeconds": 1, "containers": [one] },
    })
}

/// The client's connections and what it was answered on them, in their order.
fn answers(log: &str) -> Vec<(u64, u64)> {
    let pairs = log.lines().filter_map(|line| line.split_once(' '));
    pairs
        .filter_map(|(connection, value)| Some((connection.parse().ok()?, value.parse().ok()?)))
        .collect()
}

async fn client_has(world: &World, is_so: impl Fn(u64, u64) -> bool) -> (u64, u64) {
    eventually("the client is answered", 90, || {
        let running = world.kubectl("get pod client -o jsonpath={.status.phase}") == "Running";
        let log = running.then(|| world.kubectl("logs client --tail=1"));
        let last = log.and_then(|log| answers(&log).last().copied());
        ready(last.filter(|(connection, value)| is_so(*connection, *value)))
    })
    .await
}
