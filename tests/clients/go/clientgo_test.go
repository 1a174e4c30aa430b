package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
)

// encodings are the media types that typed clients speak.
var encodings = map[string]string{
	"json":     "application/json",
	"protobuf": "application/vnd.kubernetes.protobuf",
}

// eachEncoding runs a test with typed clients in JSON and in protobuf, with a namespace for each.
func eachEncoding(t *testing.T, test func(t *testing.T, client kubernetes.Interface, ns string)) {
	t.Helper()
	t.Parallel()
	for name, mediaType := range encodings {
		t.Run(name, func(t *testing.T) {
			config := shared.config(t)
			config.ContentType, config.AcceptContentTypes = mediaType, mediaType
			client := kubernetes.NewForConfigOrDie(config)
			_, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{Limit: 1})
			var status apierrors.APIStatus
			if errors.As(err, &status) && (status.Status().Code == http.StatusNotAcceptable || status.Status().Code == http.StatusUnsupportedMediaType) {
				t.Skipf("the server does not speak %s: %v", mediaType, err)
			}
			test(t, client, shared.namespace(t))
		})
	}
}

// within is a context that ends before a test would be thought stuck.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// must passes a value on and ends the test at an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func podOf(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name:      "main",
			Image:     "busybox",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0.5")}},
		}}},
	}
}

func configMapOf(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func TestTypedClientsCreateReadUpdateAndDelete(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, pods := within(t), client.CoreV1().Pods(ns)
		made := must[*corev1.Pod](t)(pods.Create(ctx, podOf("p"), metav1.CreateOptions{}))
		if made.UID == "" || made.ResourceVersion == "" || made.CreationTimestamp.IsZero() || made.Generation != 1 {
			t.Errorf("metadata: %+v", made.ObjectMeta)
		}
		if made.Spec.RestartPolicy != corev1.RestartPolicyAlways || made.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways || made.Status.Phase != corev1.PodPending {
			t.Errorf("defaults: %+v %+v", made.Spec, made.Status)
		}
		if cpu := made.Spec.Containers[0].Resources.Requests.Cpu(); cpu.String() != "500m" {
			t.Errorf("cpu: %s", cpu)
		}
		_, err := pods.Create(ctx, podOf("p"), metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			t.Errorf("second create: %v", err)
		}

		read := must[*corev1.Pod](t)(pods.Get(ctx, "p", metav1.GetOptions{}))
		if read.ResourceVersion != made.ResourceVersion || read.UID != made.UID {
			t.Errorf("read %+v, made %+v", read.ObjectMeta, made.ObjectMeta)
		}
		read.Labels["extra"] = "yes"
		updated := must[*corev1.Pod](t)(pods.Update(ctx, read, metav1.UpdateOptions{}))
		if updated.Labels["extra"] != "yes" || updated.ResourceVersion == read.ResourceVersion {
			t.Errorf("updated: %+v", updated.ObjectMeta)
		}
		read.Labels["extra"] = "no"
		if _, err := pods.Update(ctx, read, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("stale update: %v", err)
		}

		updated.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		ready := must[*corev1.Pod](t)(pods.UpdateStatus(ctx, updated, metav1.UpdateOptions{}))
		if len(ready.Status.Conditions) != 1 {
			t.Errorf("status: %+v", ready.Status)
		}
		patched := must[*corev1.Pod](t)(pods.Patch(ctx, "p", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"extra":null}}}`), metav1.PatchOptions{}))
		if _, found := patched.Labels["extra"]; found {
			t.Errorf("labels: %v", patched.Labels)
		}

		list := must[*corev1.PodList](t)(pods.List(ctx, metav1.ListOptions{LabelSelector: "app=p"}))
		if len(list.Items) != 1 || list.ResourceVersion == "" {
			t.Errorf("list: %+v", list)
		}
		wrong := types.UID("wrong")
		if err := pods.Delete(ctx, "p", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}); !apierrors.IsConflict(err) {
			t.Errorf("delete of another uid: %v", err)
		}
		if err := pods.Delete(ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
			t.Error(err)
		}
		if _, err := pods.Get(ctx, "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("get after delete: %v", err)
		}
	})
}

func TestTypedClientsAreToldWhatIsInvalid(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		pod := podOf("p")
		pod.Spec.Containers[0].Image = ""
		pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 70000}}
		_, err := client.CoreV1().Pods(ns).Create(within(t), pod, metav1.CreateOptions{})
		var status apierrors.APIStatus
		if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
			t.Fatal(err)
		}
		var fields []string
		for _, cause := range status.Status().Details.Causes {
			fields = append(fields, cause.Field)
		}
		slices.Sort(fields)
		if want := []string{"spec.containers[0].image", "spec.containers[0].ports[0].containerPort"}; !slices.Equal(fields, want) {
			t.Errorf("want %v, got %v", want, fields)
		}
	})
}

func TestTypedClientsDeleteCollections(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, maps := within(t), client.CoreV1().ConfigMaps(ns)
		for _, name := range []string{"a", "b", "c"} {
			config := configMapOf(name, nil)
			config.Labels = map[string]string{"keep": fmt.Sprint(name == "b")}
			must[*corev1.ConfigMap](t)(maps.Create(ctx, config, metav1.CreateOptions{}))
		}
		if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "keep=false"}); err != nil {
			t.Fatal(err)
		}
		left := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{LabelSelector: "keep"}))
		if len(left.Items) != 1 || left.Items[0].Name != "b" {
			t.Errorf("left: %+v", left.Items)
		}
	})
}

func TestTypedClientsWatch(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, maps := within(t), client.CoreV1().ConfigMaps(ns)
		list := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{}))
		events := must[watch.Interface](t)(maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, FieldSelector: "metadata.name=c"}))
		defer events.Stop()
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMapOf("other", nil), metav1.CreateOptions{}))
		made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMapOf("c", nil), metav1.CreateOptions{}))
		made.Data = map[string]string{"a": "1"}
		must[*corev1.ConfigMap](t)(maps.Update(ctx, made, metav1.UpdateOptions{}))
		if err := maps.Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		version := ""
		for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
			event := <-events.ResultChan()
			config, ok := event.Object.(*corev1.ConfigMap)
			if event.Type != want || !ok || config.Name != "c" || config.ResourceVersion == version {
				t.Fatalf("want %s, got %+v", want, event)
			}
			version = config.ResourceVersion
		}
	})
}

func TestListsOfOtherTimesAreRefused(t *testing.T) {
	t.Parallel()
	client := kubernetes.NewForConfigOrDie(shared.config(t))
	_, err := client.CoreV1().ConfigMaps("default").List(within(t), metav1.ListOptions{Limit: 1, Continue: "nonsense"})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a continue token of nonsense: %v", err)
	}
	// The server waits a little, then asks for a retry, which is left out here.
	options := &metav1.ListOptions{ResourceVersion: "999999999", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	err = client.CoreV1().RESTClient().Get().Namespace("default").Resource("configmaps").VersionedParams(options, scheme.ParameterCodec).MaxRetries(0).Do(within(t)).Error()
	if !apierrors.IsTimeout(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		t.Errorf("a version of the future: %v", err)
	}
}

func TestSharedInformersFollow(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, maps := within(t), client.CoreV1().ConfigMaps(ns)
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMapOf("before", nil), metav1.CreateOptions{}))

		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(ns))
		informer := factory.Core().V1().ConfigMaps()
		changes := make(chan string, 100)
		_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
			AddFunc: func(o any, initial bool) { changes <- fmt.Sprintf("add %s %v", o.(*corev1.ConfigMap).Name, initial) },
			UpdateFunc: func(_, o any) {
				changes <- fmt.Sprintf("update %s %s", o.(*corev1.ConfigMap).Name, o.(*corev1.ConfigMap).Data["a"])
			},
			DeleteFunc: func(o any) { changes <- "delete " + o.(*corev1.ConfigMap).Name },
		})
		if err != nil {
			t.Fatal(err)
		}
		stop, cancel := context.WithCancel(ctx)
		factory.Start(stop.Done())
		defer factory.Shutdown()
		defer cancel()
		if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
			t.Fatal("never synced")
		}
		if _, err := informer.Lister().ConfigMaps(ns).Get("before"); err != nil {
			t.Error(err)
		}
		made := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMapOf("after", nil), metav1.CreateOptions{}))
		made.Data = map[string]string{"a": "1"}
		must[*corev1.ConfigMap](t)(maps.Update(ctx, made, metav1.UpdateOptions{}))
		if err := maps.Delete(ctx, "after", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		wants := []string{"add before true", "add after false", "update after 1", "delete after"}
		for len(wants) > 0 {
			select {
			case change := <-changes:
				// The namespace may have a configmap of its own, with the CA.
				if strings.Contains(change, "kube-root-ca.crt") {
					continue
				}
				if change != wants[0] {
					t.Errorf("want %q, got %q", wants[0], change)
				}
				wants = wants[1:]
			case <-ctx.Done():
				t.Fatalf("never came: %v", wants)
			}
		}
		if left := must[[]*corev1.ConfigMap](t)(informer.Lister().ConfigMaps(ns).List(labels.Everything())); slices.ContainsFunc(left, func(c *corev1.ConfigMap) bool { return c.Name == "after" }) {
			t.Errorf("left: %+v", left)
		}
	})
}

// The server streams the initial list when it is asked to, so that the reflector needs no list request.
func TestInformersBeginWithAWatchList(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx := within(t)
		must[*corev1.ConfigMap](t)(client.CoreV1().ConfigMaps(ns).Create(ctx, configMapOf("before", nil), metav1.CreateOptions{}))
		events := must[watch.Interface](t)(client.CoreV1().ConfigMaps(ns).Watch(ctx, metav1.ListOptions{
			SendInitialEvents:    ptr.To(true),
			AllowWatchBookmarks:  true,
			ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		}))
		defer events.Stop()
		found := false
		for event := range events.ResultChan() {
			object := must[metav1.Object](t)(meta.Accessor(event.Object))
			switch {
			case event.Type == watch.Added:
				found = found || object.GetName() == "before"
			case event.Type == watch.Bookmark && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true":
				if !found || object.GetResourceVersion() == "" {
					t.Errorf("found: %v, bookmark: %+v", found, event.Object)
				}
				return
			default:
				t.Fatalf("unexpected %+v", event)
			}
		}
		t.Fatal("no bookmark at the end of the initial events")
	})
}

func TestApplyConfigurationsAreApplied(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, deployments := within(t), client.AppsV1().Deployments(ns)
		config := func(replicas int32, image string) *appsapply.DeploymentApplyConfiguration {
			selector := map[string]string{"app": "web"}
			return appsapply.Deployment("web", ns).WithSpec(appsapply.DeploymentSpec().
				WithReplicas(replicas).
				WithSelector(metaapply.LabelSelector().WithMatchLabels(selector)).
				WithTemplate(coreapply.PodTemplateSpec().WithLabels(selector).WithSpec(coreapply.PodSpec().
					WithContainers(coreapply.Container().WithName("main").WithImage(image)))))
		}
		made := must[*appsv1.Deployment](t)(deployments.Apply(ctx, config(2, "nginx:1"), metav1.ApplyOptions{FieldManager: "one"}))
		if *made.Spec.Replicas != 2 || len(made.ManagedFields) != 1 || made.ManagedFields[0].Manager != "one" {
			t.Errorf("made: %+v", made)
		}
		again := must[*appsv1.Deployment](t)(deployments.Apply(ctx, config(2, "nginx:1"), metav1.ApplyOptions{FieldManager: "one"}))
		if again.ResourceVersion != made.ResourceVersion {
			t.Error("applying the same wrote")
		}
		_, err := deployments.Apply(ctx, config(2, "nginx:2"), metav1.ApplyOptions{FieldManager: "two"})
		if !apierrors.IsConflict(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
			t.Errorf("conflict: %v", err)
		}
		forced := must[*appsv1.Deployment](t)(deployments.Apply(ctx, config(2, "nginx:2"), metav1.ApplyOptions{FieldManager: "two", Force: true}))
		if forced.Spec.Template.Spec.Containers[0].Image != "nginx:2" {
			t.Errorf("forced: %+v", forced.Spec)
		}
		// What one still holds is taken out of the object, and the extract shows it.
		held := must[*appsapply.DeploymentApplyConfiguration](t)(appsapply.ExtractDeployment(forced, "one"))
		if held.Spec == nil || held.Spec.Replicas == nil || *held.Spec.Replicas != 2 || held.Spec.Template.Spec.Containers[0].Image != nil {
			t.Errorf("held: %+v", held.Spec)
		}
		status := appsapply.Deployment("web", ns).WithStatus(appsapply.DeploymentStatus().WithReadyReplicas(1).WithReplicas(1).WithAvailableReplicas(1))
		ready := must[*appsv1.Deployment](t)(deployments.ApplyStatus(ctx, status, metav1.ApplyOptions{FieldManager: "three", Force: true}))
		if ready.Status.ReadyReplicas != 1 || *ready.Spec.Replicas != 2 {
			t.Errorf("ready: %+v", ready)
		}
	})
}

func TestListsArePaged(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, secrets := within(t), client.CoreV1().Secrets(ns)
		for i := range 25 {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s-%02d", i)}, Data: map[string][]byte{"k": {byte(i)}}}
			must[*corev1.Secret](t)(secrets.Create(ctx, secret, metav1.CreateOptions{}))
		}
		requests := 0
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			requests++
			list, err := secrets.List(ctx, options)
			if err == nil && requests == 1 {
				if list.RemainingItemCount == nil || *list.RemainingItemCount != 15 {
					t.Errorf("remaining: %v", list.RemainingItemCount)
				}
				// What is written between the pages is not in them.
				secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s-99"}}
				must[*corev1.Secret](t)(secrets.Create(ctx, secret, metav1.CreateOptions{}))
			}
			return list, err
		})
		pages.PageSize = 10
		var names []string
		err := pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
			names = append(names, o.(*corev1.Secret).Name)
			return nil
		})
		if err != nil || requests != 3 || len(names) != 25 || !slices.IsSorted(names) {
			t.Errorf("%v, %d requests: %v", err, requests, names)
		}
	})
}

func TestConflictsAreRetried(t *testing.T) {
	t.Parallel()
	client, ns, ctx := kubernetes.NewForConfigOrDie(shared.config(t)), shared.namespace(t), within(t)
	maps := client.CoreV1().ConfigMaps(ns)
	must[*corev1.ConfigMap](t)(maps.Create(ctx, configMapOf("counter", map[string]string{}), metav1.CreateOptions{}))
	var writers sync.WaitGroup
	for i := range 5 {
		writers.Go(func() {
			err := retry.OnError(retry.DefaultBackoff, apierrors.IsConflict, func() error {
				return retry.RetryOnConflict(retry.DefaultRetry, func() error {
					config, err := maps.Get(ctx, "counter", metav1.GetOptions{})
					if err != nil {
						return err
					}
					if config.Data == nil {
						config.Data = map[string]string{}
					}
					config.Data[fmt.Sprint(i)] = "written"
					_, err = maps.Update(ctx, config, metav1.UpdateOptions{})
					return err
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if config := must[*corev1.ConfigMap](t)(maps.Get(ctx, "counter", metav1.GetOptions{})); len(config.Data) != 5 {
		t.Errorf("lost updates: %v", config.Data)
	}
}

func TestDynamicClientsServeCustomResources(t *testing.T) {
	t.Parallel()
	config, ns, ctx := shared.config(t), shared.namespace(t), within(t)
	gvr := establish(t, ns+".example.com")
	client := dynamic.NewForConfigOrDie(config).Resource(gvr).Namespace(ns)
	made := must[*unstructured.Unstructured](t)(client.Create(ctx, widget(gvr, "w", 3), metav1.CreateOptions{}))
	if colour, _, _ := unstructured.NestedString(made.Object, "spec", "colour"); colour != "red" {
		t.Errorf("no default: %v", made.Object)
	}
	if _, err := client.Create(ctx, widget(gvr, "bad", -1), metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("invalid: %v", err)
	}
	events := must[watch.Interface](t)(client.Watch(ctx, metav1.ListOptions{ResourceVersion: made.GetResourceVersion()}))
	defer events.Stop()
	made.Object["status"] = map[string]any{"size": int64(3)}
	withStatus := must[*unstructured.Unstructured](t)(client.UpdateStatus(ctx, made, metav1.UpdateOptions{}))
	if withStatus.GetGeneration() != 1 || withStatus.GetResourceVersion() == made.GetResourceVersion() {
		t.Errorf("status: %v", withStatus.Object)
	}
	if event := <-events.ResultChan(); event.Type != watch.Modified {
		t.Errorf("event: %+v", event)
	}
	applied := must[*unstructured.Unstructured](t)(client.Apply(ctx, "w", widget(gvr, "w", 4), metav1.ApplyOptions{FieldManager: "me", Force: true}))
	if applied.GetGeneration() != 2 {
		t.Errorf("applied: %v", applied.Object)
	}
	scales := must[scale.ScalesGetter](t)(scale.NewForConfig(config, mapper(t, config), dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(discovery.NewDiscoveryClientForConfigOrDie(config))))
	current, err := scales.Scales(ns).Get(ctx, gvr.GroupResource(), "w", metav1.GetOptions{})
	if err != nil || current.Spec.Replicas != 4 || current.Status.Replicas != 3 {
		t.Errorf("scale: %v %+v", err, current)
	}
	list := must[*metav1.PartialObjectMetadataList](t)(metadata.NewForConfigOrDie(config).Resource(gvr).Namespace(ns).List(ctx, metav1.ListOptions{}))
	if len(list.Items) != 1 || list.Items[0].Name != "w" || list.Items[0].Kind != "PartialObjectMetadata" {
		t.Errorf("metadata: %+v", list.Items)
	}
}

// mapper finds kinds and resources by discovery.
func mapper(t *testing.T, config *rest.Config) meta.ResettableRESTMapper {
	t.Helper()
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(config)))
}

func TestDiscoveryMapsKindsToResources(t *testing.T) {
	t.Parallel()
	config := shared.config(t)
	client := discovery.NewDiscoveryClientForConfigOrDie(config)
	version, err := client.ServerVersion()
	if err != nil || version.Major != "1" || !strings.HasPrefix(version.Minor, "36") {
		t.Errorf("version: %v %+v", err, version)
	}
	for name, client := range map[string]*discovery.DiscoveryClient{"aggregated": client, "legacy": client.WithLegacy().(*discovery.DiscoveryClient)} {
		groups, lists, err := client.ServerGroupsAndResources()
		if err != nil || len(groups) < 10 {
			t.Errorf("%s: %v, %d groups", name, err, len(groups))
		}
		found := map[string]metav1.APIResource{}
		for _, list := range lists {
			for _, r := range list.APIResources {
				found[list.GroupVersion+" "+r.Name] = r
			}
		}
		if r := found["apps/v1 deployments"]; r.Kind != "Deployment" || !r.Namespaced || !slices.Contains(r.Verbs, "patch") || r.StorageVersionHash == "" && name == "legacy" {
			t.Errorf("%s: %+v", name, r)
		}
		if r := found["apps/v1 deployments/scale"]; r.Kind != "Scale" || r.Group != "autoscaling" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	mapping, err := mapper(t, config).RESTMapping(schema.GroupKind{Group: "networking.k8s.io", Kind: "Ingress"})
	if err != nil || mapping.Resource.Resource != "ingresses" || mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		t.Errorf("mapping: %v %+v", err, mapping)
	}
	if _, err := client.OpenAPISchema(); err != nil {
		t.Errorf("OpenAPI v2: %v", err)
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil || paths["apis/apps/v1"] == nil {
		t.Fatalf("OpenAPI v3: %v %v", err, paths)
	}
	document, err := paths["apis/apps/v1"].Schema("application/json")
	if err != nil || !json.Valid(document) {
		t.Errorf("OpenAPI v3: %v", err)
	}
}

func TestScaleClientsScaleDeployments(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx, deployments := within(t), client.AppsV1().Deployments(ns)
		selector := map[string]string{"app": "web"}
		template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector}, Spec: podOf("x").Spec}
		must[*appsv1.Deployment](t)(deployments.Create(ctx, &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: selector}, Template: template},
		}, metav1.CreateOptions{}))
		current, err := deployments.GetScale(ctx, "web", metav1.GetOptions{})
		if err != nil || current.Spec.Replicas != 1 || current.Status.Selector != "app=web" {
			t.Fatalf("%v: %+v", err, current)
		}
		current.Spec.Replicas = 4
		if _, err := deployments.UpdateScale(ctx, "web", current, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if d := must[*appsv1.Deployment](t)(deployments.Get(ctx, "web", metav1.GetOptions{})); *d.Spec.Replicas != 4 || d.Generation < 2 {
			t.Errorf("deployment: %+v", d)
		}
	})
}

func TestOneOfSeveralLeads(t *testing.T) {
	t.Parallel()
	client, ns, ctx := kubernetes.NewForConfigOrDie(shared.config(t)), shared.namespace(t), within(t)
	leads := make(chan string, 10)
	candidate := func(ctx context.Context, name string) *sync.WaitGroup {
		lock := &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: "leader", Namespace: ns},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		var done sync.WaitGroup
		done.Go(func() {
			leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
				Lock: lock, ReleaseOnCancel: true, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(context.Context) { leads <- name },
					OnStoppedLeading: func() {},
				},
			})
		})
		return &done
	}
	first, resign := context.WithCancel(ctx)
	one := candidate(first, "one")
	if who := <-leads; who != "one" {
		t.Errorf("%s leads", who)
	}
	second, end := context.WithCancel(ctx)
	two := candidate(second, "two")
	resign()
	one.Wait()
	if who := <-leads; who != "two" {
		t.Errorf("%s leads", who)
	}
	lease, err := client.CoordinationV1().Leases(ns).Get(ctx, "leader", metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "two" || *lease.Spec.LeaseTransitions != 1 {
		t.Errorf("%v: %+v", err, lease)
	}
	end()
	two.Wait()
}

func TestEventsAreRecordedAndCounted(t *testing.T) {
	t.Parallel()
	client, ns, ctx := kubernetes.NewForConfigOrDie(shared.config(t)), shared.namespace(t), within(t)
	config := must[*corev1.ConfigMap](t)(client.CoreV1().ConfigMaps(ns).Create(ctx, configMapOf("c", nil), metav1.CreateOptions{}))
	list := must[*corev1.EventList](t)(client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{}))
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(ns)})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "test"})
	for range 3 {
		recorder.Event(config, corev1.EventTypeNormal, "Done", "it is done")
	}
	counted := func(event watch.Event) (bool, error) {
		e, ok := event.Object.(*corev1.Event)
		return ok && e.Reason == "Done" && e.Count == 3 && e.InvolvedObject.UID == config.UID, nil
	}
	if _, err := watchtools.Until(ctx, list.ResourceVersion, watcherOf(func(options metav1.ListOptions) (watch.Interface, error) {
		return client.CoreV1().Events(ns).Watch(ctx, options)
	}), counted); err != nil {
		t.Error(err)
	}
}

func TestImpersonationAndReviewsAgree(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx := within(t)
		review := func(client kubernetes.Interface) bool {
			r := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: ns, Verb: "list", Resource: "secrets"},
			}}
			return must[*authorizationv1.SelfSubjectAccessReview](t)(client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, r, metav1.CreateOptions{})).Status.Allowed
		}
		config := shared.config(t)
		config.Impersonate = rest.ImpersonationConfig{UserName: "jane", Groups: []string{"devs"}, Extra: map[string][]string{"reason": {"test"}}}
		jane := kubernetes.NewForConfigOrDie(config)
		if !review(client) || review(jane) {
			t.Error("the administrator may, jane may not")
		}
		_, err := jane.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		if want := `secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "` + ns + `"`; !apierrors.IsForbidden(err) || err.Error() != want {
			t.Errorf("want %q, got %v", want, err)
		}
		who := must[*authenticationv1.SelfSubjectReview](t)(jane.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
		if info := who.Status.UserInfo; info.Username != "jane" || !slices.Contains(info.Groups, "devs") || len(info.Extra["reason"]) != 1 {
			t.Errorf("who: %+v", info)
		}
	})
}

func TestTokensOfServiceAccountsAreCredentials(t *testing.T) {
	eachEncoding(t, func(t *testing.T, client kubernetes.Interface, ns string) {
		ctx := within(t)
		must[*corev1.ServiceAccount](t)(client.CoreV1().ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](600)}}
		token := must[*authenticationv1.TokenRequest](t)(client.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "robot", request, metav1.CreateOptions{}))
		config := rest.AnonymousClientConfig(shared.config(t))
		config.BearerToken = token.Status.Token
		who := must[*authenticationv1.SelfSubjectReview](t)(kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
		if want := "system:serviceaccount:" + ns + ":robot"; who.Status.UserInfo.Username != want {
			t.Errorf("want %s, got %+v", want, who.Status.UserInfo)
		}
		reviewed := must[*authenticationv1.TokenReview](t)(client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{}))
		if !reviewed.Status.Authenticated || reviewed.Status.User.UID == "" {
			t.Errorf("review: %+v", reviewed.Status)
		}
	})
}

func TestWarningsReachTheClient(t *testing.T) {
	t.Parallel()
	ns, ctx := shared.namespace(t), within(t)
	config := shared.config(t)
	heard := &warnings{}
	config.WarningHandler = heard
	client := kubernetes.NewForConfigOrDie(config)
	pod := podOf("p")
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}
	must[*corev1.Pod](t)(client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{}))
	if !slices.ContainsFunc(heard.texts, func(text string) bool { return strings.Contains(text, "hides previous definition") }) {
		t.Errorf("heard %q", heard.texts)
	}
}

type warnings struct{ texts []string }

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) { w.texts = append(w.texts, text) }

// watcherOf is a cache.WatcherWithContext of one function.
type watcherOf func(metav1.ListOptions) (watch.Interface, error)

func (w watcherOf) Watch(options metav1.ListOptions) (watch.Interface, error) { return w(options) }

func (w watcherOf) WatchWithContext(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return w(options)
}
