package clients

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deployment is a manifest with one container, to be edited by the tests.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web, tier: front}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
`

const configMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1", b: "2"}
`

func TestKubectlKnowsTheServer(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		// A kubectl too old or too new for the server would say so on stderr; only the current one must not.
		out, _, err := k.run("", "version")
		if err != nil || !strings.Contains(out, "Server Version: v1.36.") {
			t.Errorf("version: %v: %s", err, out)
		}
		k.is("ok", "get", "--raw", "/readyz")
		k.says([]string{"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"}, "api-versions")
		k.says([]string{"deployments deploy apps/v1 true Deployment", "daemonsets ds apps/v1 true DaemonSet"}, "api-resources", "--api-group=apps")
		k.says([]string{"nodes", "clusterroles.rbac.authorization.k8s.io"}, "api-resources", "--namespaced=false", "-o", "name")
		k.says([]string{"create,delete,deletecollection,get,list,patch,update,watch all"}, "api-resources", "-o", "wide", "--categories=all")
		k.says([]string{"running at"}, "cluster-info")
		k.fails(`the server doesn't have a resource type "wombats"`, "get", "wombats")
	})
}

func TestKubectlPrintsInEveryFormat(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(deployment, "create", "-f", "-")
		k.says([]string{"NAME READY UP-TO-DATE AVAILABLE AGE", "web 0/2"}, "get", "deploy")
		k.says([]string{"CONTAINERS IMAGES SELECTOR", "nginx nginx:1 app=web"}, "get", "deploy", "web", "-o", "wide")
		k.says([]string{"app=web,tier=front"}, "get", "deploy", "--show-labels")
		k.says([]string{"TIER", "front"}, "get", "deploy", "-L", "tier")
		k.is("deployment.apps/web", "get", "deploy", "-l", "app=web,tier in (front)", "-o", "name")
		k.is("", "get", "deploy", "-l", "app!=web", "-o", "name")
		k.is("deployment.apps/web", "get", "deploy", "--field-selector", "metadata.name=web", "-o", "name")
		k.is("nginx:1", "get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		k.is("web=2", "get", "deploy", "web", "-o", "go-template={{.metadata.name}}={{.spec.replicas}}")
		k.says([]string{"N R", "web 2"}, "get", "deploy", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas")
		k.says([]string{"apiVersion: apps/v1", "kind: Deployment", "maxSurge: 25%"}, "get", "deploy", "web", "-o", "yaml")
		k.says([]string{"managedFields:", "manager: kubectl-create"}, "get", "deploy", "web", "-o", "yaml", "--show-managed-fields")
		k.says([]string{k.namespace + " web"}, "get", "deploy", "-A")
		k.says([]string{"deployment.apps/web"}, "get", "all")

		var list struct {
			Kind  string
			Items []struct{ Kind, APIVersion string }
		}
		if err := json.Unmarshal([]byte(k.ok("get", "deploy,cm", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		if list.Kind != "List" || len(list.Items) == 0 || list.Items[0].Kind != "Deployment" || list.Items[0].APIVersion != "apps/v1" {
			t.Errorf("got %+v", list)
		}
		k.fails(`Error from server (NotFound): deployments.apps "nobody" not found`, "get", "deploy", "nobody")
		k.is("", "get", "deploy", "nobody", "--ignore-not-found")
	})
}

func TestKubectlReadsListsInChunks(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		names := []string{"a", "b", "c", "d", "e"}
		for _, name := range names {
			k.ok("create", "secret", "generic", name)
		}
		out := k.ok("get", "secrets", "--chunk-size=2", "-o", "name")
		if got := strings.Fields(out); strings.Join(got, " ") != "secret/a secret/b secret/c secret/d secret/e" {
			t.Errorf("got %v", got)
		}
		if out := k.ok("get", "secrets", "--sort-by=.metadata.name", "--chunk-size=1", "-o", "name"); len(strings.Fields(out)) != len(names) {
			t.Errorf("got %s", out)
		}
	})
}

func TestKubectlCreatesEveryKindItHasACommandFor(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		unique := k.namespace
		calls := []struct{ args, want string }{
			{"configmap c --from-literal=a=1", "configmap/c created"},
			{"secret generic s --from-literal=p=w", "secret/s created"},
			{"secret docker-registry d --docker-server=r.example --docker-username=u --docker-password=p", "secret/d created"},
			{"serviceaccount robot", "serviceaccount/robot created"},
			{"deployment web --image=nginx --replicas=2 --port=80", "deployment.apps/web created"},
			{"job once --image=busybox -- true", "job.batch/once created"},
			{"cronjob nightly --image=busybox --schedule=0_0_*_*_* -- true", "cronjob.batch/nightly created"},
			{"job manual --from=cronjob/nightly", "job.batch/manual created"},
			{"ingress in --rule=a.example/path*=web:80 --class=x", "ingress.networking.k8s.io/in created"},
			{"poddisruptionbudget budget --selector=app=web --min-available=1", "poddisruptionbudget.policy/budget created"},
			{"quota limits --hard=pods=50,secrets=50", "resourcequota/limits created"},
			{"role reader --verb=get,list --resource=pods,deployments.apps", "role.rbac.authorization.k8s.io/reader created"},
			{"rolebinding readers --role=reader --serviceaccount=" + k.namespace + ":robot", "rolebinding.rbac.authorization.k8s.io/readers created"},
			{"clusterrole " + unique + " --verb=get --non-resource-url=/x", "clusterrole.rbac.authorization.k8s.io/" + unique + " created"},
			{"clusterrolebinding " + unique + " --clusterrole=" + unique + " --user=jane", "clusterrolebinding.rbac.authorization.k8s.io/" + unique + " created"},
			{"priorityclass " + unique + " --value=7", "priorityclass.scheduling.k8s.io/" + unique + " created"},
			{"service clusterip inside --tcp=80:8080", "service/inside created"},
			{"service nodeport outside --tcp=80", "service/outside created"},
			{"service loadbalancer balanced --tcp=80", "service/balanced created"},
			{"service externalname elsewhere --external-name=example.com", "service/elsewhere created"},
		}
		for _, call := range calls {
			args := strings.Fields(call.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			k.is(call.want, append([]string{"create"}, args...)...)
		}
		if token := k.ok("create", "token", "robot", "--duration=1h"); strings.Count(token, ".") != 2 {
			t.Errorf("no token: %s", token)
		}
		k.is("ClusterIP", "get", "svc", "inside", "-o", "jsonpath={.spec.type}")
		k.fails(`configmaps "c" already exists`, "create", "configmap", "c")
		k.fails(`ConfigMap "UPPER" is invalid: metadata.name: Invalid value: "UPPER": a lowercase RFC 1123 subdomain`, "create", "configmap", "UPPER")
		k.okWith(configMap, "create", "-f", "-")
		k.failsWith(configMap, `Error from server (AlreadyExists): error when creating "STDIN": configmaps "settings" already exists`, "create", "-f", "-")
		k.is("configmap/dry created (server dry run)", "create", "configmap", "dry", "--dry-run=server")
		k.fails("NotFound", "get", "configmap", "dry")
		k.ok("delete", "clusterrole,clusterrolebinding,priorityclass", unique)
	})
}

func TestKubectlIsToldOfUnknownFields(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		wrong := strings.Replace(deployment, "replicas: 2", "replicaz: 2", 1)
		k.failsWith(wrong, `unknown field "spec.replicaz"`, "create", "-f", "-")
		out, errs, err := k.run(wrong, "create", "-f", "-", "--validate=warn")
		if err != nil || !strings.Contains(errs, `unknown field "spec.replicaz"`) {
			t.Errorf("%v: %s%s", err, out, errs)
		}
	})
}

func TestKubectlDescribesWhatItFinds(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(deployment, "create", "-f", "-")
		k.ok("run", "alone", "--image=busybox", "--labels=app=web")
		k.ok("create", "quota", "limits", "--hard=pods=9")
		k.ok("create", "secret", "generic", "s", "--from-literal=p=word")
		k.ok("expose", "deploy", "web", "--port=80", "--target-port=8080")
		k.ok("create", "job", "once", "--image=busybox")
		k.ok("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 0 * * *")
		k.ok("create", "ingress", "in", "--rule=a.example/*=web:80")
		k.ok("create", "role", "reader", "--verb=get", "--resource=pods")
		k.ok("create", "rolebinding", "readers", "--role=reader", "--user=jane")
		k.okWith("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}", "create", "-f", "-")
		k.okWith("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: disk}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}", "create", "-f", "-")
		k.okWith("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed}\nspec: {podSelector: {}}", "create", "-f", "-")
		wants := map[string][]string{
			"deploy/web":                {"Name: web", "Image: nginx:1", "Replicas: 2 desired", "RollingUpdateStrategy: 25% max unavailable, 25% max surge"},
			"pod/alone":                 {"Name: alone", "Image: busybox", "Status: Pending", "QoS Class: BestEffort"},
			"ns/" + k.namespace:         {"Status: Active", "Resource Quotas"},
			"secret/s":                  {"Type: Opaque", "p: 4 bytes"},
			"svc/web":                   {"Type: ClusterIP", "TargetPort: 8080/TCP", "Selector: app=web"},
			"job/once":                  {"Completions: 1", "Parallelism: 1"},
			"cronjob/nightly":           {"Schedule: 0 0 * * *", "Concurrency Policy: Allow"},
			"ingress/in":                {"a.example", "web:80"},
			"role/reader":               {"pods [] [] [get]"},
			"rolebinding/readers":       {"User jane"},
			"hpa/web":                   {"Deployment/web", "Max replicas: 5"},
			"pvc/disk":                  {"Status: Pending", "Name: disk"},
			"networkpolicy/closed":      {"PodSelector: <none> (Allowing the specific traffic to all pods in this namespace)"},
			"sc,priorityclasses":        {"system-cluster-critical"},
			"clusterrole/admin":         {"Labels: kubernetes.io/bootstrapping=rbac-defaults"},
			"clusterrole/cluster-admin": {"*.* [] [] [*]"},
			"svc/kubernetes":            {"Port: https 443/TCP"},
			"configmap":                 nil,
			"nodes,pv,csr":              nil,
			"leases,endpointslices":     nil,
		}
		for what, want := range wants {
			args := []string{"describe", what}
			if what == "svc/kubernetes" {
				args = append(args, "--namespace=default")
			}
			out, errs, err := k.run("", args...)
			// A namespace without one of these kinds is said on stderr.
			if err != nil || errs != "" && !strings.HasPrefix(errs, "No resources found") {
				t.Errorf("%v: %v: %s", args, err, errs)
			}
			for _, part := range want {
				if !strings.Contains(squeeze(out), part) {
					t.Errorf("%v: no %q in:\n%s", args, part, out)
				}
			}
		}
		k.fails(`pods "nobody" not found`, "describe", "pod", "nobody")
	})
}

func TestKubectlAppliesWithAThreeWayMerge(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		apply := func(manifest, want string) {
			t.Helper()
			if out := k.okWith(manifest, "apply", "-f", "-"); !strings.Contains(out, want) {
				t.Errorf("want %q, got %s", want, out)
			}
		}
		apply(deployment, "deployment.apps/web created")
		apply(deployment, "deployment.apps/web unchanged")
		// What others set and the manifest never had stays, in maps and in lists that merge by name.
		k.ok("label", "deploy", "web", "owner=jane")
		k.ok("set", "env", "deploy/web", "C=3")
		// What the manifest had and has no more goes.
		changed := strings.NewReplacer("tier: front", "tier: back", `{name: A, value: "1"}, `, "").Replace(deployment)
		apply(strings.Replace(changed, "  replicas: 2\n", "", 1), "deployment.apps/web configured")
		k.is("back jane", "get", "deploy", "web", "-o", "jsonpath={.metadata.labels.tier} {.metadata.labels.owner}")
		k.is("B C", "get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}")
		k.is("1", "get", "deploy", "web", "-o", "jsonpath={.spec.replicas}")
		k.says([]string{"tier: back"}, "apply", "view-last-applied", "deploy/web")
	})
}

func TestKubectlShowsDifferences(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.env = []string{"KUBECTL_EXTERNAL_DIFF=diff -u"}
		k.okWith(configMap, "apply", "-f", "-")
		k.okWith(configMap, "diff", "-f", "-")
		changed := strings.Replace(configMap, `a: "1"`, `a: "one"`, 1)
		k.failsWith(changed, `+  a: one`, "diff", "-f", "-")
		k.failsWith(changed, `+  a: one`, "diff", "--server-side", "--force-conflicts", "-f", "-")
		k.is("1", "get", "cm", "settings", "-o", "jsonpath={.data.a}")
	})
}

func TestKubectlPrunesWhatIsNoMoreApplied(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		one := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, labels: {set: x}}\n"
		two := strings.Replace(one, "name: one", "name: two", 1)
		prune := []string{"apply", "-f", "-", "--prune", "-l", "set=x", "--prune-allowlist=core/v1/ConfigMap"}
		k.okWith(one+"---\n"+two, prune...)
		if out := k.okWith(two, prune...); !strings.Contains(out, "configmap/one pruned") {
			t.Errorf("got %s", out)
		}
		k.is("configmap/two", "get", "cm", "-l", "set=x", "-o", "name")
	})
}

func TestKubectlAppliesOnTheServerAndIsToldOfConflicts(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		ssa := func(manager, manifest string, more ...string) string {
			t.Helper()
			return k.okWith(manifest, append([]string{"apply", "--server-side", "--field-manager=" + manager, "-f", "-"}, more...)...)
		}
		if out := ssa("one", configMap); !strings.Contains(out, "configmap/settings serverside-applied") {
			t.Errorf("got %s", out)
		}
		other := strings.Replace(configMap, `a: "1"`, `a: "one", c: "3"`, 1)
		k.failsWith(other, "Apply failed with 1 conflict: conflict with \"one\": .data.a", "apply", "--server-side", "--field-manager=two", "-f", "-")
		k.is("1", "get", "cm", "settings", "-o", "jsonpath={.data.a}")
		ssa("two", other, "--force-conflicts")
		k.is("one 2 3", "get", "cm", "settings", "-o", "jsonpath={.data.a} {.data.b} {.data.c}")
		// b is held by both, c by two alone; a was lost to two.
		ssa("one", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {}\n")
		k.is("one 2 3", "get", "cm", "settings", "-o", "jsonpath={.data.a} {.data.b} {.data.c}")
		ssa("two", configMap)
		k.is("1 2", "get", "cm", "settings", "-o", "jsonpath={.data.a} {.data.b}{.data.c}")
		ssa("three", other, "--dry-run=server", "--force-conflicts")
		k.is("1", "get", "cm", "settings", "-o", "jsonpath={.data.a}")
	})
}

func TestKubectlMovesFromClientSideToServerSideApply(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(configMap, "apply", "-f", "-")
		// The fields that the last client-side apply held pass to the new manager, so b may be left out and goes.
		k.okWith(strings.Replace(configMap, `, b: "2"`, "", 1), "apply", "--server-side", "-f", "-")
		k.is(`{"a":"1"}`, "get", "cm", "settings", "-o", "jsonpath={.data}")
		managers := k.ok("get", "cm", "settings", "-o", "jsonpath={.metadata.managedFields[*].manager}", "--show-managed-fields")
		if strings.Contains(managers, "client-side") {
			t.Errorf("still managed by %s", managers)
		}
	})
}

func TestKubectlEditsWithAnEditor(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(configMap, "apply", "-f", "-")
		k.env = []string{"KUBE_EDITOR=sed -i s/one/uno/"}
		if out, errs, err := k.run("", "edit", "cm", "settings"); err != nil || !strings.Contains(errs, "Edit cancelled") {
			t.Errorf("%v: %s%s", err, out, errs)
		}
		k.env = []string{`KUBE_EDITOR=sed -i 's/b: "2"/b: two/'`}
		k.is("configmap/settings edited", "edit", "cm", "settings")
		k.is("two", "get", "cm", "settings", "-o", "jsonpath={.data.b}")
		k.okWith(deployment, "apply", "-f", "-")
		k.env = []string{"KUBE_EDITOR=sed -i s/replicas:.2/replicas:\\ 5/"}
		k.is("deployment.apps/web edited", "edit", "deploy", "web")
		k.is("5", "get", "deploy", "web", "-o", "jsonpath={.spec.replicas}")
	})
}

func TestKubectlLabelsAndAnnotates(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(configMap, "create", "-f", "-")
		k.is("configmap/settings labeled", "label", "cm", "settings", "a=b", "c=d")
		k.fails("'a' already has a value (b), and --overwrite is false", "label", "cm", "settings", "a=x")
		k.is("configmap/settings labeled", "label", "cm", "settings", "a=x", "--overwrite")
		k.is("configmap/settings unlabeled", "label", "cm", "settings", "c-")
		k.is(`{"a":"x"}`, "get", "cm", "settings", "-o", "jsonpath={.metadata.labels}")
		k.fails("the object has been modified", "label", "cm", "settings", "a=y", "--overwrite", "--resource-version=1")
		k.is("configmap/settings annotated", "annotate", "cm", "settings", "note=hello world")
		k.is("hello world", "get", "cm", "settings", "-o", "jsonpath={.metadata.annotations.note}")
		k.is("configmap/settings annotated", "annotate", "cm", "-l", "a=x", "note-")
		k.is("", "get", "cm", "settings", "-o", "jsonpath={.metadata.annotations}")
	})
}

func TestKubectlPatchesInEveryWay(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(deployment, "create", "-f", "-")
		// Strategic: the list of containers merges by name.
		k.is("deployment.apps/web patched", "patch", "deploy", "web", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}`)
		names := "jsonpath={.spec.template.spec.containers[*].name}"
		k.is("side nginx", "get", "deploy", "web", "-o", names)
		k.ok("patch", "deploy", "web", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}]}}}}`)
		k.is("nginx", "get", "deploy", "web", "-o", names)
		// Merge: a list is replaced.
		k.ok("patch", "deploy", "web", "--type=merge", "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"busybox"}]}}}}`)
		k.is("other", "get", "deploy", "web", "-o", names)
		k.ok("patch", "deploy", "web", "--type=json", "-p", `[{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":7},{"op":"remove","path":"/metadata/labels/tier"}]`)
		k.is(`7 {"app":"web"}`, "get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {.metadata.labels}")
		k.fails("the server rejected our request due to an error in our request", "patch", "deploy", "web", "--type=json", "-p", `[{"op":"remove","path":"/metadata/labels/none"}]`)
		k.is("deployment.apps/web patched (no change)", "patch", "deploy", "web", "-p", `{"spec":{"replicas":7}}`)
		k.ok("patch", "deploy", "web", "--subresource=scale", "--type=merge", "-p", `{"spec":{"replicas":3}}`)
		k.is("3", "get", "deploy", "web", "--subresource=scale", "-o", "jsonpath={.spec.replicas}")
		k.fails(`Invalid value: -1: must be greater than or equal to 0`, "patch", "deploy", "web", "-p", `{"spec":{"replicas":-1}}`)
	})
}

func TestKubectlScalesAndSetsThings(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(deployment, "create", "-f", "-")
		k.is("deployment.apps/web scaled", "scale", "deploy/web", "--replicas=4")
		k.fails("Expected replicas to be 9, was 4", "scale", "deploy/web", "--replicas=5", "--current-replicas=9")
		k.is("4", "get", "deploy", "web", "-o", "jsonpath={.spec.replicas}")
		k.is("deployment.apps/web image updated", "set", "image", "deploy/web", "nginx=nginx:2")
		k.is("deployment.apps/web resource requirements updated", "set", "resources", "deploy/web", "--requests=cpu=100m,memory=64Mi")
		k.is("deployment.apps/web env updated", "set", "env", "deploy/web", "A-", "D=4")
		k.is("nginx:2 100m 64Mi B D", "get", "deploy", "web", "-o",
			"jsonpath={.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].resources.requests.cpu} "+
				"{.spec.template.spec.containers[0].resources.requests.memory} {.spec.template.spec.containers[0].env[*].name}")
		k.ok("create", "sa", "robot")
		k.is("deployment.apps/web serviceaccount updated", "set", "serviceaccount", "deploy/web", "robot")
		k.is("service/web exposed", "expose", "deploy", "web", "--port=80")
		k.is("service/web selector updated", "set", "selector", "svc/web", "app=other")
		k.is(`{"app":"other"}`, "get", "svc", "web", "-o", "jsonpath={.spec.selector}")
	})
}

func TestKubectlRollsOut(t *testing.T) {
	// The part of the Deployment controller is played here.
	eachKubectl(t, ownServer(t, "--controllers", "none"), func(t *testing.T, k *kubectl) {
		k.okWith(deployment, "create", "-f", "-")
		uid := k.ok("get", "deploy", "web", "-o", "jsonpath={.metadata.uid}")
		for _, revision := range []string{"1", "2"} {
			k.okWith(`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"web-`+revision+`","labels":{"app":"web"},
				"annotations":{"deployment.kubernetes.io/revision":"`+revision+`","kubernetes.io/change-cause":"cause `+revision+`"},
				"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"`+uid+`","controller":true}]},
				"spec":{"replicas":0,"selector":{"matchLabels":{"app":"web","pod-template-hash":"`+revision+`"}},"template":{
				"metadata":{"labels":{"app":"web","pod-template-hash":"`+revision+`"}},
				"spec":{"containers":[{"name":"nginx","image":"nginx:old-`+revision+`"}]}}}}`, "create", "-f", "-")
		}
		k.says([]string{"REVISION CHANGE-CAUSE", "1 cause 1", "2 cause 2"}, "rollout", "history", "deploy/web")
		k.says([]string{"nginx:old-1"}, "rollout", "history", "deploy/web", "--revision=1")
		k.is("deployment.apps/web rolled back", "rollout", "undo", "deploy/web", "--to-revision=1")
		k.is("nginx:old-1", "get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		k.is("deployment.apps/web paused", "rollout", "pause", "deploy/web")
		k.fails("already paused", "rollout", "pause", "deploy/web")
		k.is("deployment.apps/web resumed", "rollout", "resume", "deploy/web")
		k.is("deployment.apps/web restarted", "rollout", "restart", "deploy/web")
		k.says([]string{"kubectl.kubernetes.io/restartedAt"}, "get", "deploy", "web", "-o", "yaml")

		status := k.stream("rollout", "status", "deploy/web")
		awaitLine(t, status, "Waiting for")
		generation := k.ok("get", "deploy", "web", "-o", "jsonpath={.metadata.generation}")
		k.ok("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p",
			`{"status":{"observedGeneration":`+generation+`,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`)
		awaitLine(t, status, "successfully rolled out")
	})
}

func TestKubectlWaits(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.ok("run", "p", "--image=busybox", "--restart=Never")
		k.fails("timed out waiting for the condition on pods/p", "wait", "--for=condition=Ready", "pod/p", "--timeout=1s")
		ready := k.stream("wait", "--for=condition=Ready", "pod/p")
		phase := k.stream("wait", "--for=jsonpath={.status.phase}=Running", "pod/p")
		k.ok("patch", "pod", "p", "--subresource=status", "-p", `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`)
		awaitLine(t, ready, "pod/p condition met")
		awaitLine(t, phase, "pod/p condition met")
		gone := make(chan error)
		go func() {
			_, _, err := k.run("", "wait", "--for=delete", "pod/p")
			gone <- err
		}()
		k.ok("delete", "pod", "p", "--now", "--wait=false")
		if err := <-gone; err != nil {
			t.Errorf("wait --for=delete: %v", err)
		}
	})
}

func TestKubectlWatches(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(configMap, "create", "-f", "-")
		lines := k.stream("get", "cm", "--watch", "--output-watch-events", "-l", "!system")
		awaitLine(t, lines, "EVENT NAME DATA AGE")
		awaitLine(t, lines, "ADDED settings 2")
		k.ok("patch", "cm", "settings", "-p", `{"data":{"c":"3"}}`)
		awaitLine(t, lines, "MODIFIED settings 3")
		// An object that falls out of the selector is gone for this watch.
		k.ok("label", "cm", "settings", "system=yes")
		awaitLine(t, lines, "DELETED settings 3")
		k.ok("label", "cm", "settings", "system-")
		awaitLine(t, lines, "ADDED settings 3")
		k.ok("delete", "cm", "settings")
		awaitLine(t, lines, "DELETED settings 3")
	})
}

func TestKubectlDeletes(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		for _, name := range []string{"a", "b", "c", "d"} {
			k.ok("create", "cm", name)
			k.ok("label", "cm", name, "which="+name, "mine=yes")
		}
		k.says([]string{`configmap "a" deleted`}, "delete", "cm", "a")
		k.fails(`Error from server (NotFound): configmaps "a" not found`, "delete", "cm", "a")
		k.is("", "delete", "cm", "a", "--ignore-not-found")
		k.says([]string{`configmap "b" deleted`}, "delete", "cm", "-l", "which=b")
		k.says([]string{"(server dry run)"}, "delete", "cm", "c", "--dry-run=server")
		k.is("configmap/c\nconfigmap/d", "get", "cm", "-l", "mine", "-o", "name")

		// A finalizer keeps the object until it is taken away; the command waits for that.
		k.ok("patch", "cm", "c", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`)
		deletion := k.stream("delete", "cm", "c", "-v=1")
		awaitLine(t, deletion, `configmap "c" deleted`)
		if out := k.ok("get", "cm", "c", "-o", "jsonpath={.metadata.deletionTimestamp}"); out == "" {
			t.Error("no deletionTimestamp")
		}
		k.ok("patch", "cm", "c", "--type=json", "-p", `[{"op":"remove","path":"/metadata/finalizers"}]`)
		for range deletion {
		}
		k.fails("NotFound", "get", "cm", "c")
		k.ok("delete", "cm", "--all")
		k.is("", "get", "cm", "-l", "mine", "-o", "name")
	})
}

func TestKubectlReplaces(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(configMap, "create", "-f", "-")
		uid := k.ok("get", "cm", "settings", "-o", "jsonpath={.metadata.uid}")
		k.okWith(strings.Replace(configMap, `, b: "2"`, "", 1), "replace", "-f", "-")
		k.is(`{"a":"1"}`, "get", "cm", "settings", "-o", "jsonpath={.data}")
		stale := strings.Replace(configMap, "name: settings", `name: settings, resourceVersion: "1"`, 1)
		k.failsWith(stale, "Error from server (Conflict)", "replace", "-f", "-")
		k.okWith(configMap, "replace", "--force", "-f", "-")
		if k.ok("get", "cm", "settings", "-o", "jsonpath={.metadata.uid}") == uid {
			t.Error("replace --force kept the object")
		}
	})
}

func TestKubectlAsksWhatItMayDo(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.is("yes", "auth", "can-i", "create", "deployments.apps")
		k.fails("no", "auth", "can-i", "list", "pods", "--as=jane")
		k.fails(`pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "`+k.namespace+`"`, "get", "pods", "--as=jane")
		// The command does not fill in the namespace.
		rbac := strings.ReplaceAll(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]
`, "NS", k.namespace)
		// What it did is told on stderr.
		if out, errs, err := k.run(rbac, "auth", "reconcile", "-f", "-"); err != nil || !strings.Contains(errs, "missing rules added") {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
		k.is("yes", "auth", "can-i", "list", "pods", "--as=jane")
		k.fails("no", "auth", "can-i", "delete", "pods", "--as=jane")
		k.says([]string{"pods [] [] [get list]", "selfsubjectaccessreviews.authorization.k8s.io [] [] [create]"}, "auth", "can-i", "--list", "--as=jane")
		k.is("", "get", "pods", "--as=jane", "-o", "name")
		k.says([]string{"Username jane", "Groups [devs system:authenticated]"}, "auth", "whoami", "--as=jane", "--as-group=devs", "--as-group=system:authenticated")
	})
}

func TestKubectlExplains(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.says([]string{"KIND: Deployment", "VERSION: v1", "GROUP: apps", "spec <DeploymentSpec>"}, "explain", "deployments")
		k.says([]string{"FIELD: containers <[]Container>", "livenessProbe <Probe>", "name <string> -required-"}, "explain", "pod.spec.containers")
		k.says([]string{"preference <NodeSelectorTerm> -required-", "matchExpressions <[]NodeSelectorRequirement>"}, "explain", "pod.spec", "--recursive")
		k.says([]string{"VERSION: v2", "metrics <[]MetricSpec>"}, "explain", "hpa.spec", "--api-version=autoscaling/v2")
		k.says([]string{"FIELD: metrics <[]MetricSpec>"}, "explain", "hpa.spec.metrics", "--output=plaintext")
		k.fails(`field "wombat" does not exist`, "explain", "pod.spec.wombat")
	})
}

func TestKubectlReadsEvents(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		k.okWith(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"type":"Warning","reason":"Odd","message":"something odd",
			"involvedObject":{"apiVersion":"v1","kind":"ConfigMap","name":"settings","namespace":"`+k.namespace+`"},
			"firstTimestamp":"2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:00Z","count":1,"source":{"component":"test"}}`, "create", "-f", "-")
		k.says([]string{"Warning Odd configmap/settings something odd"}, "get", "events")
		k.is("event/e", "get", "events", "--field-selector=reason=Odd,involvedObject.name=settings", "-o", "name")
		k.says([]string{"ConfigMap/settings something odd"}, "events", "--for=configmap/settings", "--types=Warning")
	})
}

func TestKubectlManagesNodes(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		node := "node-" + k.namespace
		k.okWith("apiVersion: v1\nkind: Node\nmetadata: {name: "+node+"}\n", "create", "-f", "-")
		k.is("node/"+node+" tainted", "taint", "node", node, "key=value:NoSchedule")
		k.is("node/"+node+" cordoned", "cordon", node)
		k.says([]string{node + " Unknown,SchedulingDisabled"}, "get", "node", node)
		k.says([]string{"Taints: key=value:NoSchedule", "Unschedulable: true"}, "describe", "node", node)
		k.is("node/"+node+" uncordoned", "uncordon", node)
		k.ok("delete", "node", node)
	})
}

func TestKubectlWorksOnDirectoriesAndKustomizations(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		dir := t.TempDir()
		files := map[string]string{
			"deployment.yaml":    deployment,
			"settings.yaml":      configMap,
			"kustomization.yaml": "resources: [deployment.yaml, settings.yaml]\nnamePrefix: my-\nimages: [{name: nginx, newTag: \"9\"}]\n",
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		k.says([]string{"deployment.apps/my-web created", "configmap/my-settings created"}, "apply", "-k", dir)
		k.is("nginx:9", "get", "deploy", "my-web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		k.says([]string{"deleted"}, "delete", "-k", dir)
	})
}

// widgets is a CRD whose names are unique to a group.
func widgets(group string) string {
	return strings.ReplaceAll(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}
    schema:
      openAPIV3Schema:
        description: A thing of some size.
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 0, description: How large it is.}
              colour: {type: string, default: red, enum: [red, green]}
          status:
            type: object
            properties: {size: {type: integer}}
`, "GROUP", group)
}

func TestKubectlServesCustomResources(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		group := k.namespace + ".example.com"
		crd := "crd/widgets." + group
		k.okWith(widgets(group), "apply", "-f", "-")
		k.says([]string{"condition met"}, "wait", "--for=condition=Established", crd)
		widget := "apiVersion: " + group + "/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 3}\n"
		k.okWith(widget, "apply", "-f", "-")
		k.says([]string{"NAME SIZE", "w 3"}, "get", "widgets."+group)
		k.is("red", "get", "wd."+group, "w", "-o", "jsonpath={.spec.colour}")
		k.failsWith(strings.Replace(widget, "size: 3", "size: -3", 1), "spec.size in body should be greater than or equal to 0", "apply", "-f", "-")
		k.failsWith(strings.Replace(widget, "size: 3", "size: 3, shape: round", 1), `unknown field "spec.shape"`, "apply", "-f", "-")
		k.says([]string{"scaled"}, "scale", "widgets."+group, "w", "--replicas=8")
		k.is("8", "get", "widgets."+group, "w", "-o", "jsonpath={.spec.size}")
		k.ok("patch", "widgets."+group, "w", "--type=merge", "-p", `{"spec":{"colour":"green"}}`)
		k.says([]string{"Colour: green"}, "describe", "widgets."+group, "w")
		k.says([]string{"KIND: Widget", "colour <string>", "size <integer> -required-", "How large it is."}, "explain", "widgets.spec", "--api-version="+group+"/v1")
		k.says([]string{"widgets wd " + group + "/v1 true Widget"}, "api-resources", "--api-group="+group)
		k.says([]string{"deleted"}, "delete", crd)
		k.fails("the server doesn't have a resource type", "get", "widgets."+group)
	})
}

func TestKubectlDeletesANamespaceWithEverythingInIt(t *testing.T) {
	eachKubectl(t, shared, func(t *testing.T, k *kubectl) {
		name := k.namespace + "-gone"
		k.ok("create", "ns", name)
		k.ok("create", "cm", "c", "-n", name)
		k.says([]string{"deleted"}, "delete", "ns", name)
		k.fails("NotFound", "get", "ns", name)
	})
}
