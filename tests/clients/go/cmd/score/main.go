// Command score is the score card's adapter for client-go: typed clients, a shared informer as the mirror, and no
// option but QPS. The protocol is described in docs/SCORECARD.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

type request struct {
	ID         uint64    `json:"id"`
	Op         string    `json:"op"`
	Args       arguments `json:"args"`
	DeadlineMs int64     `json:"deadlineMs"`
}

type arguments struct {
	Kubeconfig string           `json:"kubeconfig"`
	Namespace  string           `json:"namespace"`
	Name       string           `json:"name"`
	Names      []string         `json:"names"`
	Value      string           `json:"value"`
	Limit      int64            `json:"limit"`
	Object     corev1.ConfigMap `json:"object"`
	Patch      json.RawMessage  `json:"patch"`
}

type answer struct {
	ID         uint64 `json:"id"`
	Result     any    `json:"result,omitempty"`
	ErrorClass string `json:"errorClass,omitempty"`
	Code       int32  `json:"code,omitempty"`
	Message    string `json:"message,omitempty"`
}

var errUnsupported = errors.New("unsupported")

type client struct {
	clientset kubernetes.Interface
	mirror    cache.SharedIndexInformer
	stop      chan struct{}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	c := &client{}
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		result, err := c.perform(r)
		a := answer{ID: r.ID, Result: result}
		if err != nil {
			a = failure(r.ID, err)
		} else if a.Result == nil {
			a.Result = struct{}{}
		}
		if err := out.Encode(a); err != nil {
			os.Exit(1)
		}
	}
}

func (c *client) perform(r request) (any, error) {
	ctx := context.Background()
	if r.DeadlineMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.DeadlineMs)*time.Millisecond)
		defer cancel()
	}
	switch r.Op {
	case "hello":
		return map[string]any{"name": "client-go", "version": version(), "runtime": runtime.Version(), "options": []string{"QPS -1"}}, nil
	case "open":
		return nil, c.open(r.Args.Kubeconfig)
	case "stop":
		c.end()
		return nil, nil
	case "sync":
		if r.DeadlineMs > 0 {
			return nil, errUnsupported // An informer has no limit for silence.
		}
		c.sync(r.Args.Namespace)
		return nil, nil
	case "store":
		return c.store(), nil
	}
	return c.operate(ctx, r.Op, r.Args, c.clientset.CoreV1().ConfigMaps(r.Args.Namespace))
}

func (c *client) operate(ctx context.Context, op string, args arguments, maps typedcorev1.ConfigMapInterface) (any, error) {
	switch op {
	case "get":
		return maps.Get(ctx, args.Name, metav1.GetOptions{})
	case "create":
		return maps.Create(ctx, &args.Object, metav1.CreateOptions{})
	case "update":
		return maps.Update(ctx, &args.Object, metav1.UpdateOptions{})
	case "patch":
		return maps.Patch(ctx, args.Name, types.MergePatchType, args.Patch, metav1.PatchOptions{})
	case "delete":
		return nil, maps.Delete(ctx, args.Name, metav1.DeleteOptions{})
	case "list":
		return list(ctx, args.Limit, maps)
	case "burst":
		return nil, burst(ctx, args.Names, maps)
	case "modify":
		return nil, retry.RetryOnConflict(retry.DefaultRetry, func() error {
			object, err := maps.Get(ctx, args.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			object.Data = map[string]string{"v": args.Value}
			_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
			return err
		})
	}
	return nil, errUnsupported
}

func list(ctx context.Context, limit int64, maps typedcorev1.ConfigMapInterface) (any, error) {
	names := []string{}
	if limit == 0 {
		all, err := maps.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, item := range all.Items {
			names = append(names, item.Name)
		}
		return map[string]any{"names": names}, nil
	}
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (kruntime.Object, error) {
		return maps.List(ctx, options)
	})
	pages.PageSize = limit
	// List and not EachListItem: only that one starts again after an expired token.
	all, _, err := pages.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	err = meta.EachListItem(all, func(object kruntime.Object) error {
		item, err := meta.Accessor(object)
		if err == nil {
			names = append(names, item.GetName())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"names": names}, nil
}

func burst(ctx context.Context, names []string, maps typedcorev1.ConfigMapInterface) error {
	var all sync.WaitGroup
	failures := make([]error, len(names))
	for n, name := range names {
		all.Go(func() { _, failures[n] = maps.Get(ctx, name, metav1.GetOptions{}) })
	}
	all.Wait()
	return errors.Join(failures...)
}

func (c *client) open(path string) error {
	c.end()
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return err
	}
	config.QPS = -1
	c.clientset, err = kubernetes.NewForConfig(config)
	return err
}

func (c *client) sync(namespace string) {
	c.stop = make(chan struct{})
	factory := informers.NewSharedInformerFactoryWithOptions(c.clientset, 0, informers.WithNamespace(namespace))
	c.mirror = factory.Core().V1().ConfigMaps().Informer()
	factory.Start(c.stop)
}

func (c *client) store() any {
	objects := map[string]string{}
	for _, item := range c.mirror.GetStore().List() {
		object := item.(*corev1.ConfigMap)
		objects[object.Name] = object.Data["v"]
	}
	return map[string]any{"objects": objects}
}

func (c *client) end() {
	if c.stop != nil {
		close(c.stop)
		c.stop = nil
	}
}

func failure(id uint64, err error) answer {
	a := answer{ID: id, ErrorClass: "other", Message: err.Error()}
	var status apierrors.APIStatus
	var network net.Error
	switch {
	case errors.Is(err, errUnsupported):
		a.ErrorClass = "unsupported"
	case errors.As(err, &status):
		a.ErrorClass, a.Code = "api", status.Status().Code
	case errors.Is(err, context.DeadlineExceeded):
		a.ErrorClass = "timeout"
	case errors.As(err, &network):
		a.ErrorClass = "transport"
	}
	return a
}

// version is that of the client-go that was built in.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "k8s.io/client-go" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
