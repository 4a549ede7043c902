"""What of the benchmarks can be wrong without a machine: figures, objects, counting."""

import base64
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchlib import figures, paper, replicas, servers, storm, webhooks  # noqa: E402
from benchlib import population as p  # noqa: E402
from benchlib.creations import Creations  # noqa: E402
from benchlib.pods import Counter, has_share, quantity  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
REVIEW = (ROOT / "benches/driver/review.json").read_text()


class Figures(unittest.TestCase):
    def test_a_ratio_is_taken_pair_by_pair(self):
        # The machine was half as quick in the second pair; the servers are equal all the same.
        against = figures.ratio([90, 45, 90], [100, 50, 100])
        self.assertEqual((against.middle, against.spread), (0.9, 0.0))

    def test_the_spread_is_told_beside_the_middle(self):
        self.assertEqual(figures.Series([1000, 3000, 2000]).told(), "2,000 (1,000 … 3,000)")

    def test_the_last_line_holds_what_was_measured_only(self):
        self.assertEqual(figures.result({"a": 0.81249, "b": None, "c": 3, "d": 2.0}), "RESULT a=0.812 c=3 d=2")

    def test_each_bar_is_kept_or_missed(self):
        lines = figures.bars({"throughput_ratio": 0.79, "p99_ratio": 1.3, "templates_first_unsized": 1, "unknown": 1})
        self.assertEqual([line.split()[:2] for line in lines], [["MISSED", "throughput_ratio"], ["kept", "p99_ratio"], ["MISSED", "templates_first_unsized"]])

    def test_a_percentile_lies_within_its_bucket(self):
        buckets = {0.005: 50, 0.025: 90, 0.1: 100, float("inf"): 100}
        self.assertAlmostEqual(figures.percentile_of_buckets(buckets, 0.5), 0.005)
        self.assertAlmostEqual(figures.percentile_of_buckets(buckets, 0.7), 0.015)
        self.assertIsNone(figures.percentile_of_buckets({float("inf"): 0}, 0.5))

    def test_columns_are_as_wide_as_they_need(self):
        self.assertEqual(figures.table(["a", "b"], [["long", 1]]), "a     b\n-------\nlong  1")


class Objects(unittest.TestCase):
    def test_every_share_comes_out_even(self):
        for node in range(len(p.CORES)):
            for number in range(35):
                cpu, memory = p.share(node, number)
                self.assertEqual(cpu * 200, p.millicores(node) * p.cpu_percentage(number))
                self.assertEqual(memory * 200, p.mebibytes(node) * p.memory_percentage(number))

    def test_a_pod_has_the_share_that_the_driver_expects(self):
        owners = [{"metadata": {"name": f"bench-set-{i:03}", "uid": f"u{i}"}} for i in range(3)]
        told = p.for_driver(7, owners)
        for number in range(21):
            pod = p.pod(number, 7, owners)
            node = next(n for n in told["nodes"] if n["name"] == pod["spec"]["nodeName"])
            owner = next(d for d in told["daemonSets"] if d["name"] == pod["metadata"]["ownerReferences"][0]["name"])
            allocatable = {"cpu": f"{node['cpu']}m", "memory": str(node["memory"])}
            self.assertTrue(has_share(pod, allocatable, {"cpu": owner["cpuPercentage"], "memory": owner["memoryPercentage"]}))

    def test_nodes_are_as_large_as_real_ones(self):
        sizes = [len(json.dumps(p.node(i), separators=(",", ":"))) for i in (0, 4999)]
        self.assertTrue(all(8_000 < size < 12_000 for size in sizes), sizes)

    def test_names_are_equally_long_because_the_driver_replaces_them_in_place(self):
        self.assertEqual({len(p.node_name(i)) for i in (0, 99, 4999)}, {len("bench-node-00000")})
        self.assertEqual(len(p.daemonset(0)["metadata"]["name"]), len(p.daemonset(299)["metadata"]["name"]))

    def test_the_daemonsets_have_the_containers_of_the_review(self):
        review = json.loads(REVIEW.replace("{{uid}}", "u").replace("{{node}}", "n").replace("{{daemonset}}", "d").replace("{{daemonset-uid}}", "x"))
        sent = [(c["name"], c["resources"]) for c in review["request"]["object"]["spec"]["containers"]]
        self.assertEqual(sent, [(c["name"], c["resources"]) for c in p.pod_spec()["containers"]])
        self.assertEqual(review["request"]["namespace"], p.NAMESPACE)


class Unwatched:
    """An API whose events the test tells itself."""

    def watch(self, path, seen):
        return self


class Pods(unittest.TestCase):
    ALLOCATABLE = {"cpu": "32", "memory": "200Gi"}

    def pod(self, cpu, memory, name="a"):
        return {"metadata": {"name": name}, "spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}] * 2}}

    def judge(self, pod):
        return has_share(pod, self.ALLOCATABLE, {"cpu": 1, "memory": 1})

    def test_quantities_are_read(self):
        self.assertEqual([quantity(text) for text in ("100m", "2", "1Gi", "1.5k")], [quantity("0.1"), 2, 1 << 30, 1500])

    def test_a_pod_has_its_share_or_has_not(self):
        self.assertTrue(self.judge(self.pod("160m", "1Gi")))
        self.assertFalse(self.judge(self.pod("160m", str((1 << 30) - 1))))
        uneven = {"spec": {"containers": [{"resources": {"requests": {"memory": text}}} for text in ("1374389534", "1374389535")]}}
        self.assertTrue(has_share(uneven, {"memory": "256Gi"}, {"memory": 1}), "whole bytes, rounded down")
        uneven["spec"]["containers"][0]["resources"]["requests"]["memory"] = "1374389535"
        self.assertFalse(has_share(uneven, {"memory": "256Gi"}, {"memory": 1}))
        self.assertFalse(self.judge(self.pod("100m", "128Mi")))
        self.assertFalse(self.judge({"metadata": {"name": "a"}, "spec": {"containers": [{"resources": {}}]}}))

    def test_a_repaired_pod_was_unsized_at_its_creation_and_is_not_at_the_end(self):
        counter = Counter(Unwatched(), "/pods", "a=b", self.judge)
        small, right = self.pod("100m", "128Mi"), self.pod("160m", "1Gi")
        counter.saw("ADDED", small)
        counter.saw("ADDED", {**right, "metadata": {"name": "b"}})
        self.assertEqual((counter.created, counter.unsized_at_creation, counter.unsized, counter.last_repaired), (2, 1, 1, None))
        counter.saw("MODIFIED", right)
        self.assertEqual((counter.unsized_at_creation, counter.unsized), (1, 0))
        self.assertIsNotNone(counter.last_repaired)

    def test_the_pods_of_the_cluster_part_fit_a_hundred_times_on_a_node(self):
        self.assertLessEqual(100 * max(paper.PERCENTAGES.values()), 100)


class Storms(unittest.TestCase):
    def test_an_authority_rolls_over_by_way_of_both(self):
        sets = lambda *names: [frozenset(name) for name in names]
        self.assertEqual(replicas.roll_overs(sets("a", "ab", "b", "bc", "c")), 2)
        # What began before is not complete, and what had no time to be heard of is no roll-over.
        self.assertEqual(replicas.roll_overs(sets("ab", "b", "bc")), 0)
        self.assertEqual(replicas.roll_overs(sets("a", "b")), 0)
        self.assertEqual(replicas.roll_overs(sets("a", "ab", "a")), 0)
        self.assertEqual(replicas.roll_overs([frozenset(), *sets("a", "ab", "b")]), 1)

    def test_each_certificate_of_a_bundle_has_a_fingerprint(self):
        pem = lambda body: f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(body).decode()}\n-----END CERTIFICATE-----\n"
        told = lambda text: replicas.fingerprints(base64.b64encode(text.encode()).decode())
        one, two = told(pem(b"one")), told(pem(b"two"))
        self.assertEqual((len(one), len(two), told(pem(b"one") + "\n" + pem(b"two"))), (1, 1, one | two))
        self.assertEqual(told(""), set())

    def test_the_leafs_end_is_read_and_not_the_authoritys(self):
        line = 'holdfast_webhook_certificate_expiry_seconds{certificate="%s"} %s\n'
        self.assertEqual(replicas.expiry(line % ("authority", 2) + line % ("leaf", 1)), "1")
        self.assertIsNone(replicas.expiry(line % ("authority", 2)))

    def test_reasons_are_counted_whatever_the_port(self):
        line = 'W1121 14:06:%s 7 dispatcher.go:225] Failed calling webhook, failing open pods: failed calling webhook "pods": write tcp 10.77.2.1:%s->10.130.1.4:9443: write: broken pipe'
        log = "\n".join([line % ("32.1", 41228), "I1121 something else", line % ("33.2", 41118)])
        self.assertEqual(storm.reasons(log), {'failed calling webhook "pods": write tcp 10.130.1.4:9443: write: broken pipe': (2, "14:06:32.1")})

    def test_the_time_without_shares_is_from_the_first_to_the_last(self):
        outcome = Creations()
        self.assertEqual((outcome.unsized, outcome.unsized_ms()), (0, 0.0))
        outcome.unsized_at += [(12.5, 1, []), (10.0, 0, [])]
        self.assertEqual((outcome.unsized, outcome.unsized_ms()), (2, 2500.0))


class Servers(unittest.TestCase):
    def test_the_heap_is_kept_as_the_deployment_says(self):
        lines = (ROOT / "manifests/default/deployment.yaml").read_text().splitlines()
        named = {line.split("name: ")[1]: after.split("value: ")[1].strip('"') for line, after in zip(lines, lines[1:]) if "name: MALLOC_" in line}
        self.assertEqual(named, servers.HEAP)


class Webhooks(unittest.TestCase):
    def test_documents_stand_behind_each_other_or_in_a_list(self):
        self.assertEqual(webhooks.documents('{"kind":"A"}\n{"kind":"List","items":[{"kind":"B"}]}\n'), [{"kind": "A"}, {"kind": "B"}])

    def test_only_the_address_of_a_configuration_changes(self):
        hook = {"name": "sizing", "failurePolicy": "Ignore", "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/mutate"}}, "rules": [{"resources": ["pods"]}]}
        item = {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "c", "uid": "x"}, "webhooks": [hook]}
        [changed] = webhooks.readdressed([item, {"kind": "Service"}], "10.77.0.254:9443", b"PEM")
        self.assertEqual(changed["webhooks"], [{**hook, "clientConfig": {"url": "https://10.77.0.254:9443/mutate", "caBundle": "UEVN"}}])
        self.assertEqual(webhooks.names([changed]), ["sizing"])

    def test_the_api_servers_own_measurement_is_read(self):
        line = 'apiserver_admission_webhook_admission_duration_seconds_bucket{name="%s",operation="%s",rejected="false",type="admit",le="%s"} %s'
        before = "\n".join([line % ("sizing", "CREATE", "0.005", 1), line % ("sizing", "CREATE", "+Inf", 2)])
        after = "\n".join([line % ("sizing", "CREATE", "0.005", 11), line % ("sizing", "CREATE", "+Inf", 22), line % ("other", "CREATE", "0.005", 9), line % ("sizing", "UPDATE", "0.005", 9),
                           'apiserver_admission_webhook_admission_duration_seconds_sum{name="sizing",operation="CREATE",rejected="false",type="admit"} 0.5'])
        buckets, total = webhooks.difference(webhooks.durations(after, ["sizing"]), webhooks.durations(before, ["sizing"]))
        self.assertEqual((buckets, total), ({0.005: 10, float("inf"): 20}, 0.5))


if __name__ == "__main__":
    unittest.main()
