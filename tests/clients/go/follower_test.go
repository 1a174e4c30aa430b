package clients

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// follower is a controller of the usual make, by hand: shared informers, listers, a work queue, a lease, events. It
// keeps a ConfigMap with the replicas and the image of each Deployment, and writes into the Deployment's status how far
// it has come. It goes on when its listers know what it has written, so that what it does follows from what it is told,
// and not from how fast.
type follower struct {
	client  kubernetes.Interface
	sources appslisters.DeploymentLister
	copies  corelisters.ConfigMapLister
	queue   workqueue.TypedRateLimitingInterface[string]
	events  record.EventRecorder
	// leads tells that it works; gone tells the name of each copy that it has seen go.
	leads chan struct{}
	gone  chan string
}

// follow runs a follower on the default namespace until the context ends. Its clients speak protobuf.
func follow(ctx context.Context, config *rest.Config, f *follower) error {
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(corev1.NamespaceDefault))
	sources, copies := factory.Apps().V1().Deployments(), factory.Core().V1().ConfigMaps()
	f.client, f.sources, f.copies = client, sources.Lister(), copies.Lister()
	f.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	if _, err := sources.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { f.queue.Add(nameOf(object)) },
		UpdateFunc: func(_, object any) { f.queue.Add(nameOf(object)) },
		DeleteFunc: func(object any) { f.queue.Add(nameOf(object)) },
	}); err != nil {
		return err
	}
	if _, err := copies.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(object any) {
			if copied, ok := object.(*corev1.ConfigMap); ok && metav1.GetControllerOf(copied) != nil {
				f.queue.Add(metav1.GetControllerOf(copied).Name)
			}
			f.gone <- nameOf(object)
		},
	}); err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	f.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "follower"})

	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: "follower", Namespace: corev1.NamespaceDefault},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: "one"},
	}
	election := leaderelection.LeaderElectionConfig{
		Lock: lock, ReleaseOnCancel: true, LeaseDuration: time.Minute, RenewDeadline: 50 * time.Second, RetryPeriod: time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				factory.StartWithContext(ctx)
				if !cache.WaitForCacheSync(ctx.Done(), sources.Informer().HasSynced, copies.Informer().HasSynced) {
					return
				}
				close(f.leads)
				go func() { <-ctx.Done(); f.queue.ShutDown() }()
				for f.next(ctx) {
				}
			},
			OnStoppedLeading: func() {},
		},
	}
	elector, err := leaderelection.NewLeaderElector(election)
	if err != nil {
		return err
	}
	elector.Run(ctx)
	factory.Shutdown()
	return nil
}

func nameOf(object any) string {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	named, ok := object.(metav1.Object)
	if !ok {
		return ""
	}
	return named.GetName()
}

// next works on one key; false at the end of the queue.
func (f *follower) next(ctx context.Context) bool {
	name, ended := f.queue.Get()
	if ended {
		return false
	}
	defer f.queue.Done(name)
	if err := f.reconcile(ctx, name); err != nil && ctx.Err() == nil {
		fmt.Printf("follower: %s: %v\n", name, err)
		f.queue.AddRateLimited(name)
		return true
	}
	f.queue.Forget(name)
	return true
}

func (f *follower) reconcile(ctx context.Context, name string) error {
	copies := f.client.CoreV1().ConfigMaps(corev1.NamespaceDefault)
	copied, err := f.copies.ConfigMaps(corev1.NamespaceDefault).Get(name + "-copy")
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	missing := err != nil
	source, err := f.sources.Deployments(corev1.NamespaceDefault).Get(name)
	if apierrors.IsNotFound(err) {
		if missing {
			return nil
		}
		// An object by its name alone may be another one by now.
		if err := copies.Delete(ctx, copied.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(copied.UID))}); err != nil {
			return err
		}
		return known(ctx, func() bool {
			_, err := f.copies.ConfigMaps(corev1.NamespaceDefault).Get(copied.Name)
			return apierrors.IsNotFound(err)
		})
	} else if err != nil {
		return err
	}

	data := map[string]string{
		"replicas": strconv.Itoa(int(*source.Spec.Replicas)),
		"image":    source.Spec.Template.Spec.Containers[0].Image,
	}
	if missing {
		owner := *metav1.NewControllerRef(source, appsv1.SchemeGroupVersion.WithKind("Deployment"))
		wanted := configMapOf(name+"-copy", data)
		wanted.OwnerReferences = []metav1.OwnerReference{owner}
		if copied, err = copies.Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
			return err
		}
	} else if copied.Data["replicas"] != data["replicas"] || copied.Data["image"] != data["image"] {
		wanted := copied.DeepCopy()
		wanted.Data = data
		if copied, err = copies.Update(ctx, wanted, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if err := known(ctx, func() bool {
		last, err := f.copies.ConfigMaps(corev1.NamespaceDefault).Get(copied.Name)
		return err == nil && last.ResourceVersion == copied.ResourceVersion
	}); err != nil {
		return err
	}
	if source.Status.ObservedGeneration == source.Generation {
		return nil
	}
	done := source.DeepCopy()
	done.Status.ObservedGeneration = source.Generation
	done.Status.Replicas = *source.Spec.Replicas
	done.Status.UpdatedReplicas = *source.Spec.Replicas
	if _, err := f.client.AppsV1().Deployments(corev1.NamespaceDefault).UpdateStatus(ctx, done, metav1.UpdateOptions{}); err != nil {
		return err
	}
	f.events.Eventf(source, corev1.EventTypeNormal, "Followed", "generation %d is copied", source.Generation)
	return known(ctx, func() bool {
		last, err := f.sources.Deployments(corev1.NamespaceDefault).Get(name)
		return err != nil || last.Status.ObservedGeneration >= source.Generation
	})
}

// known waits until the listers know of a write.
func known(ctx context.Context, condition func() bool) error {
	return wait.PollUntilContextTimeout(ctx, time.Millisecond, scenarioBound, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
}
