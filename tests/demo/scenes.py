"""The scenes of the demo, in order. Each later capability adds one."""



def two_managers(stage):
    """One of two managers leads; its node loses power; the other one takes over."""
    leader, _ = stage.wait("a leader", 40, stage.leader)
    node = leader["spec"]["nodeName"]
    print(f"  {leader['metadata']['name']} leads, on {node}.")
    stage.world("node", "kill", node.removeprefix("node"))
    print(f"  {node} has lost power.")

    def another():
        now = stage.holder()
        return now if now and now != leader["metadata"]["name"] else None

    name, seconds = stage.wait("another leader", 45, another)
    print(f"  {name} leads, {seconds:.1f} s later.")
    stage.world("node", "start", node.removeprefix("node"))
    print(f"  {node} has booted again.")


def a_template_that_cannot_be(stage):
    """A template of shares says what is wrong with it, and is ready when that is cured."""
    def template(memory):
        return f"""
apiVersion: flexdaemonsets.xai/v1alpha1
kind: FlexDaemonsetTemplate
metadata: {{name: demo}}
spec: {{cpuPercentage: 10, memoryPercentage: 15, minMemory: "{memory}"}}
"""

    def ready(status):
        def look():
            template = stage.get("fdt", "demo")
            conditions = template.get("status", {}).get("conditions", [])
            current = template.get("status", {}).get("observedGeneration") == template["metadata"]["generation"]
            return next((c for c in conditions if current and c["type"] == "Ready" and c["status"] == status), None)
        return look

    stage.kubectl("apply", "-f", "-", stdin=template("-128Mi"))
    condition, _ = stage.wait("the verdict", 20, ready("False"))
    print(f"  Ready=False: {condition['message']}")
    stage.kubectl("apply", "-f", "-", stdin=template("128Mi"))
    stage.wait("the cure", 20, ready("True"))
    print("\n".join("  " + line for line in stage.kubectl("get", "fdt", "demo").splitlines()))
    stage.kubectl("delete", "fdt", "demo")


ALL = [two_managers, a_template_that_cannot_be]
