package clients

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const finalizer = "example.com/cleanup"

// copier keeps a Secret with the data of each ConfigMap labelled `copy`, and on deletion writes down that it cleaned up.
type copier struct {
	client.Client
	cleaned chan string
}

func (c *copier) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	source := &corev1.ConfigMap{}
	if err := c.Get(ctx, request.NamespacedName, source); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if source.Labels["copy"] == "" {
		return ctrl.Result{}, nil
	}
	if !source.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(source, finalizer) {
			c.cleaned <- source.Name
			return ctrl.Result{}, client.IgnoreNotFound(c.Update(ctx, source))
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(source, finalizer) {
		return ctrl.Result{}, c.Update(ctx, source)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: source.Name, Namespace: source.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, c.Client, secret, func() error {
		secret.StringData = source.Data
		return controllerutil.SetControllerReference(source, secret, c.Scheme())
	})
	return ctrl.Result{}, err
}

func TestAControllerReconcilesUntilItsFinalizerIsGone(t *testing.T) {
	t.Parallel()
	ns, ctx := shared.namespace(t), within(t)
	manager, err := ctrl.NewManager(shared.config(t), ctrl.Options{
		Scheme:  scheme.Scheme,
		Logger:  logr.Discard(),
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{ns: {}}},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	reconciler := &copier{Client: manager.GetClient(), cleaned: make(chan string, 10)}
	if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&corev1.Secret{}).Complete(reconciler); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	direct := kubernetes.NewForConfigOrDie(shared.config(t)).CoreV1()
	holds := func(value string) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			secret, err := direct.Secrets(ns).Get(ctx, "c", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil && string(secret.Data["a"]) == value && metav1.GetControllerOf(secret) != nil, err
		}
	}
	eventually := func(what string, condition wait.ConditionWithContextFunc) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, condition); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}

	source := configMapOf("c", map[string]string{"a": "1"})
	source.Labels = map[string]string{"copy": "yes"}
	must[*corev1.ConfigMap](t)(direct.ConfigMaps(ns).Create(ctx, source, metav1.CreateOptions{}))
	eventually("the copy is made", holds("1"))
	if err := direct.Secrets(ns).Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually("the copy is made again", holds("1"))
	made := must[*corev1.ConfigMap](t)(direct.ConfigMaps(ns).Get(ctx, "c", metav1.GetOptions{}))
	made.Data["a"] = "2"
	must[*corev1.ConfigMap](t)(direct.ConfigMaps(ns).Update(ctx, made, metav1.UpdateOptions{}))
	eventually("the copy follows", holds("2"))

	if err := direct.ConfigMaps(ns).Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if name := <-reconciler.cleaned; name != "c" {
		t.Errorf("cleaned %s", name)
	}
	eventually("the source is gone", func(ctx context.Context) (bool, error) {
		_, err := direct.ConfigMaps(ns).Get(ctx, "c", metav1.GetOptions{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	eventually("the copy goes with its owner", func(ctx context.Context) (bool, error) {
		_, err := direct.Secrets(ns).Get(ctx, "c", metav1.GetOptions{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}
