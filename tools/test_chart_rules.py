import copy
import unittest

import chart_rules

ROLE = {"apiGroup": "rbac.authorization.k8s.io", "name": "holdfast"}
CONTAINER = {
    "name": "manager",
    "args": ["serve", "--installation=holdfast"],
    "securityContext": {"allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]}},
}
POD = {"securityContext": {"runAsNonRoot": True, "runAsUser": 65533, "seccompProfile": {"type": "RuntimeDefault"}},
       "containers": [CONTAINER]}


def thing(kind, **more):
    return {"kind": kind, "metadata": {"name": "holdfast"}, **more}


WEBHOOK = {
    "name": "pods.holdfast.dev", "failurePolicy": "Ignore", "timeoutSeconds": 2, "rules": [{"resources": ["pods"]}],
    "clientConfig": {"service": {"name": "holdfast", "namespace": "system", "port": 443}},
    "namespaceSelector": {"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "system"]}]},
}
SERVICE = {"kind": "Service", "metadata": {"name": "holdfast", "namespace": "system"}, "spec": {"ports": [{"port": 443}]}}

GOOD = [
    thing("Deployment", spec={"template": {"spec": POD}}),
    thing("ServiceAccount"),
    thing("Role", rules=[{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]),
    thing("ClusterRole", rules=[]),
    thing("RoleBinding", roleRef={"kind": "Role", **ROLE}, subjects=[{"kind": "ServiceAccount", "name": "holdfast"}]),
    thing("ClusterRoleBinding", roleRef={"kind": "ClusterRole", **ROLE}, subjects=[]),
]


class ChartRules(unittest.TestCase):
    def setUp(self):
        self.objects = copy.deepcopy(GOOD)
        self.deployment, self.account, self.role, _, self.binding, _ = self.objects
        self.pod = self.deployment["spec"]["template"]["spec"]

    def assert_breaks(self, rule, what):
        found = {name: problem for name, problem in chart_rules.broken(self.objects) if problem}
        self.assertEqual(list(found), [rule], found)
        self.assertIn(what, found[rule])

    def test_good_objects_break_no_rule(self):
        self.assertEqual([problem for _, problem in chart_rules.broken(self.objects) if problem], [])

    def test_a_wildcard_is_found_wherever_it_stands(self):
        for key, values in {"verbs": ["*"], "resources": ["get", "*"], "apiGroups": ["*"], "nonResourceURLs": ["/a/*"]}.items():
            self.role["rules"] = [{key: values}]
            self.assert_breaks("no wildcard in a role", f"Role holdfast has {key}")

    def test_an_object_with_another_name_is_found(self):
        self.account["metadata"]["name"] = "manager"
        self.assert_breaks("one name", "ServiceAccount manager is not named ['holdfast']")

    def test_a_deployment_that_is_told_another_name_is_found(self):
        self.pod["containers"][0]["args"] = ["serve", "--installation=other"]
        self.assert_breaks("one name", "told --installation=['other']")

    def test_a_binding_to_nothing_is_found(self):
        self.binding["roleRef"]["name"] = "manager-role"
        self.assert_breaks("one name", "binds Role manager-role, which is not there")

    def test_roles_for_people_have_names_of_their_own(self):
        self.objects.append({"kind": "ClusterRole", "metadata": {"name": "holdfast-viewer"}, "rules": []})
        self.test_good_objects_break_no_rule()

    def test_every_piece_of_hardening_is_missed(self):
        for place, key in [(self.pod["securityContext"], key) for key in POD["securityContext"]] + [
                (self.pod["containers"][0]["securityContext"], key) for key in CONTAINER["securityContext"]]:
            kept = place.pop(key)
            with self.subTest(key):
                self.assert_breaks("pods meet the restricted level", f"container manager: {key} is None")
            place[key] = kept

    def webhook(self):
        webhook = copy.deepcopy(WEBHOOK)
        self.objects += [copy.deepcopy(SERVICE), thing("MutatingWebhookConfiguration", webhooks=[webhook])]
        self.test_good_objects_break_no_rule()
        return webhook

    def test_a_webhook_that_could_stop_others_or_itself_is_found(self):
        for change, what in [
            ({"failurePolicy": "Fail"}, "failurePolicy Fail"),
            ({"timeoutSeconds": 10}, "may take 10 s"),
            ({"namespaceSelector": {}}, "pods of its own namespace"),
        ]:
            self.setUp()
            self.webhook().update(change)
            self.assert_breaks("webhooks reach us and stop nobody", what)

    def test_a_webhook_for_other_namespaces_only_is_fine(self):
        chosen = self.webhook()["namespaceSelector"]["matchExpressions"][0]
        chosen.update(operator="In", values=["kube-system"])
        self.test_good_objects_break_no_rule()
        chosen["values"].append("system")
        self.assert_breaks("webhooks reach us and stop nobody", "pods of its own namespace")

    def test_a_webhook_without_its_service_is_found(self):
        self.webhook()["clientConfig"]["service"]["port"] = 9443
        self.assert_breaks("webhooks reach us and stop nobody", "calls port 9443 of Service holdfast")

    def test_a_finalizer_is_found(self):
        self.account["metadata"]["finalizers"] = ["holdfast.dev/teardown"]
        self.assert_breaks("no finalizers", "ServiceAccount holdfast has finalizers")

    def test_an_object_too_large_for_kubectl_apply_is_found(self):
        self.account["metadata"]["annotations"] = {"a": "x" * chart_rules.LARGEST}
        self.assert_breaks("kubectl apply takes it", "shorten")

    def test_a_flag_that_the_program_does_not_know_is_found(self):
        said = dict(chart_rules.broken(self.objects, ["echo", "--installation NAME"]))
        self.assertEqual(said["the program has every flag"], "")
        said = dict(chart_rules.broken(self.objects, ["echo", "--installation-name NAME"]))
        self.assertIn("--installation=holdfast, which", said["the program has every flag"])
        said = dict(chart_rules.broken(self.objects, ["false"]))
        self.assertIn("false serve --help failed", said["the program has every flag"])


if __name__ == "__main__":
    unittest.main()
