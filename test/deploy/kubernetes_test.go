package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// manifest reads one. A field that its type does not have is an error.
func manifest[T any](t *testing.T, name string) (object T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(read(t, "deploy/kubernetes/"+name), &object); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return object
}

func TestKubernetes(t *testing.T) {
	deployment := manifest[apps.Deployment](t, "deployment.yaml")
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]

	t.Run("every selector finds the pods", func(t *testing.T) {
		service := manifest[core.Service](t, "service.yaml")
		budget := manifest[policy.PodDisruptionBudget](t, "poddisruptionbudget.yaml")
		network := manifest[networking.NetworkPolicy](t, "networkpolicy.yaml")
		for name, selector := range map[string]map[string]string{
			"the deployment": deployment.Spec.Selector.MatchLabels,
			"the service":    service.Spec.Selector,
			"the budget":     budget.Spec.Selector.MatchLabels,
			"the policy":     network.Spec.PodSelector.MatchLabels,
			"the spread":     pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
		} {
			if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
				t.Errorf("%s selects %v, the pods are %v", name, selector, pod.Labels)
			}
		}

		ports := func(port intstr.IntOrString) bool {
			return slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool { return p.Name == port.StrVal })
		}
		if target := service.Spec.Ports[0].TargetPort; target.StrVal != "http" {
			t.Errorf("the service leads to %v", target)
		}
		for _, probe := range []*core.Probe{container.ReadinessProbe, container.LivenessProbe} {
			if !ports(probe.HTTPGet.Port) || probe.HTTPGet.Port.StrVal != "admin" {
				t.Errorf("a probe asks port %v", probe.HTTPGet.Port)
			}
		}
		for _, rule := range network.Spec.Ingress {
			if open := len(rule.From) == 0; len(rule.Ports) != 1 || !ports(*rule.Ports[0].Port) || open != (rule.Ports[0].Port.StrVal == "http") {
				t.Errorf("the policy has the rule %+v", rule)
			}
		}
	})

	t.Run("the container has no rights, and the image's user", func(t *testing.T) {
		all, own := pod.Spec.SecurityContext, container.SecurityContext
		if !*all.RunAsNonRoot || *all.RunAsUser != imageUser || *all.FSGroup != imageUser || all.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
			t.Errorf("the pod has %+v", all)
		}
		if *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem || !slices.Equal(own.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("the container has %+v", own)
		}
		if *pod.Spec.AutomountServiceAccountToken || *pod.Spec.EnableServiceLinks {
			t.Error("the pod gets a token or variables that it has no use for")
		}
	})

	t.Run("the configuration is good, and where the container has it", func(t *testing.T) {
		data := manifest[core.ConfigMap](t, "configmap.yaml").Data
		secret := mounted(t, pod.Spec, "secret") + "/secret_key"
		if !strings.Contains(data["clerk-proxy.yaml"], secret) {
			t.Errorf("the secret key is at %s", secret)
		}
		file := filepath.Join(t.TempDir(), "clerk-proxy.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(data["clerk-proxy.yaml"], secret, secretKey(t))), 0o600); err != nil {
			t.Fatal(err)
		}
		args := slices.Clone(container.Args)
		i := slices.Index(args, mounted(t, pod.Spec, "config")+"/clerk-proxy.yaml")
		if i < 0 {
			t.Fatalf("the arguments are %q", args)
		}
		args[i] = file
		config := effective(t, args)
		if config.Admin.Listen != ":25375" || container.Ports[1].ContainerPort != 25375 {
			t.Errorf("the admin pages are at %s, and the port is %d", config.Admin.Listen, container.Ports[1].ContainerPort)
		}
		if !slices.Equal(config.Listen, []string{":8080"}) || container.Ports[0].ContainerPort != 8080 {
			t.Errorf("it listens on %v, and the port is %d", config.Listen, container.Ports[0].ContainerPort)
		}
		outlasts(t, time.Duration(*pod.Spec.TerminationGracePeriodSeconds)*time.Second, config.DrainDelay, config.DrainTimeout)
	})

	t.Run("kustomize takes in everything", func(t *testing.T) {
		var all struct{ Resources []string }
		if err := yaml.Unmarshal(read(t, "deploy/kubernetes/kustomization.yaml"), &all); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(repository, "deploy/kubernetes"))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := entry.Name(); name != "kustomization.yaml" && !slices.Contains(all.Resources, name) {
				t.Errorf("%s is left out", name)
			}
		}
	})
}

// mounted is the path of a volume in the container.
func mounted(t *testing.T, pod core.PodSpec, volume string) string {
	t.Helper()
	for _, mount := range pod.Containers[0].VolumeMounts {
		if mount.Name == volume && mount.ReadOnly {
			return mount.MountPath
		}
	}
	t.Fatalf("%s is not mounted read-only", volume)
	return ""
}
