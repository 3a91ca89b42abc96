//! What `infra` says about the platform is so: settings, ports, paths and names exist. With `ROOMLOG_TEST_HELM`, the
//! path of Helm, the chart is rendered and looked at too.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_yaml_ng::Value;

const ROLES: [&str; 4] = ["command-api", "projectors", "query-api", "ws-fanout"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn documents(text: &str, whose: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| {
            let mut value = Value::deserialize(document).unwrap_or_else(|error| panic!("{whose}: {error}"));
            value.apply_merge().unwrap_or_else(|error| panic!("{whose}: {error}"));
            value
        })
        .filter(|value| !value.is_null())
        .collect()
}

fn yaml(path: &str) -> Value {
    documents(&read(path), path).remove(0)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    let Some(mapping) = value.as_mapping() else { return BTreeSet::new() };
    mapping.keys().filter_map(Value::as_str).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

/// Names of the environment that the server looks at: the fields of its settings, and those of its command line.
fn settings() -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(&root().join("server/src/config"), &mut sources);
    sources.push(root().join("web/src/limits.rs"));
    let mut found = BTreeSet::new();
    for source in sources {
        let text = std::fs::read_to_string(source).unwrap();
        let fields = text.lines().filter_map(|line| line.strip_prefix("    pub ")?.strip_suffix(','));
        let names = fields.filter_map(|field| field.split_once(": ")).map(|(name, _)| name);
        found.extend(names.map(|name| format!("ROOMLOG_{}", name.to_uppercase())));
    }
    found.extend(["ROOMLOG_CONFIG".to_owned(), "ROOMLOG_URL".to_owned()]);
    found
}

/// Names of settings in a text, without the variables `${…}` of a compose file.
fn named_settings(text: &str) -> BTreeSet<&str> {
    text.match_indices("ROOMLOG_")
        .filter(|(at, _)| !text[..*at].ends_with("${"))
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            &rest[..end.unwrap_or(rest.len())]
        })
        // Not what only begins a name, and not what is for tests.
        .filter(|name| !name.ends_with('_') && !name.starts_with("ROOMLOG_TEST_"))
        .collect()
}

fn assert_settings(text: &str, whose: &str) -> usize {
    let (settings, named) = (settings(), named_settings(text));
    for name in &named {
        assert!(settings.contains(*name), "{whose}: there is no setting {name}");
    }
    named.len()
}

/// Paths that every process serves.
fn health_paths() -> BTreeSet<String> {
    let text = read("server/src/health.rs");
    text.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// How long a process takes at most to stop.
fn stop_seconds() -> u64 {
    let text = read("server/src/serve/mod.rs");
    let rest = text.split_once("STOP_LIMIT: Duration = Duration::from_secs(").unwrap().1;
    rest.split(')').next().unwrap().parse().unwrap()
}

fn assert_pinned(image: &str, whose: &str) {
    let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
    assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{whose}: {image} has no version");
}

#[test]
fn settings_are_found_in_the_server() {
    let settings = settings();
    for name in ["ROLES", "LOG", "INTERNAL_ADDRESS", "CQL_NODES", "POSTGRES_PASSWORD_FILE", "TRUSTED_PROXIES"]
    {
        assert!(settings.contains(&format!("ROOMLOG_{name}")), "{name}");
    }
    assert!(!settings.contains("ROOMLOG_KIND") && settings.len() > 50, "{settings:?}");
}

#[test]
fn every_setting_that_infra_names_exists() {
    let mut found = Vec::new();
    files(&root().join("infra"), &mut found);
    let mut count = 0;
    for file in found {
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        count += assert_settings(&text, &file.display().to_string());
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_yaml_file_can_be_read() {
    let mut found = Vec::new();
    files(&root().join("infra"), &mut found);
    files(&root().join(".github"), &mut found);
    let is_yaml = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    // Of Helm, and the one that `cargo xtask cluster` fills in.
    let is_template = |path: &PathBuf| {
        path.ends_with("cassandra/cassandra.yaml")
            || path.components().any(|part| part.as_os_str() == "templates")
    };
    let mut count = 0;
    for file in found.iter().filter(is_yaml).filter(|path| !is_template(path)) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!documents(&text, &file.display().to_string()).is_empty(), "{}", file.display());
        count += 1;
    }
    assert!(count >= 6, "{count}");
}

#[test]
fn compose_starts_every_role_after_what_it_needs() {
    let compose = yaml("infra/compose.yaml");
    let services = &compose["services"];
    let names = keys(services);
    for (name, service) in services.as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        let depends_on = &service["depends_on"];
        for other in keys(depends_on) {
            assert!(names.contains(other), "{name} depends on {other}");
            match depends_on[other]["condition"].as_str().unwrap() {
                "service_healthy" => {
                    assert!(
                        services[other]["healthcheck"]["test"].is_sequence(),
                        "{other} has no health check"
                    );
                }
                "service_completed_successfully" => assert!(services[other]["restart"].is_null(), "{other}"),
                condition => panic!("{name}: {condition}"),
            }
        }
        for volume in list(&service["volumes"]) {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let exists = match source.strip_prefix("./") {
                Some(path) => root().join("infra").join(path).exists(),
                None => keys(&compose["volumes"]).contains(source),
            };
            assert!(exists, "{name}: {source}");
        }
        assert_pinned(service["image"].as_str().unwrap(), name);
    }
    for role in ROLES {
        let service = &services[role];
        assert_eq!(service["environment"]["ROOMLOG_ROLES"], role);
        assert_eq!(service["deploy"]["replicas"], 2);
        assert!(keys(&services["nginx"]["depends_on"]).contains(role), "{role}");
        let listen = service["environment"]["ROOMLOG_LISTEN"].as_str().unwrap();
        let internal = service["environment"]["ROOMLOG_INTERNAL_LISTEN"].as_str().unwrap();
        let (port, internal_port) =
            (listen.rsplit_once(':').unwrap().1, internal.rsplit_once(':').unwrap().1);
        let check = list(&service["healthcheck"]["test"]).last().unwrap().as_str().unwrap();
        assert!(check.contains(&format!("/127.0.0.1/{port} ")), "{check}");
        assert!(health_paths().iter().any(|path| check.contains(&format!("GET {path} "))), "{check}");
        let entry = list(&service["entrypoint"]).last().unwrap().as_str().unwrap();
        assert!(entry.contains(&format!(":{internal_port}\"")), "{entry}");
        let grace = service["stop_grace_period"].as_str().unwrap().trim_end_matches('s');
        assert!(grace.parse::<u64>().unwrap() > stop_seconds());
    }
}

#[test]
fn the_certificates_bear_the_name_that_processes_ask_for() {
    let compose = yaml("infra/compose.yaml");
    let script = list(&compose["services"]["secrets"]["command"])[0].as_str().unwrap().to_owned();
    let settings = &compose["services"]["query-api"]["environment"];
    let name = settings["ROOMLOG_INTERNAL_SERVER_NAME"].as_str().unwrap();
    let made = script.split_once("make-dev-certs.sh ").unwrap().1.lines().next().unwrap();
    assert!(made.split(' ').skip(1).any(|host| host == name), "{made}");
    for (setting, value) in settings.as_mapping().unwrap() {
        let value = value.as_str().unwrap();
        if let Some(file) = value.strip_prefix("/run/roomlog/") {
            // Those of TLS are made by the other script, in the folder that this one names.
            let source =
                if file.starts_with("tls/") { read("infra/tls/make-dev-certs.sh") } else { script.clone() };
            let file = file.trim_start_matches("tls/");
            let stem = file.replace("process.", "$who.");
            assert!(source.contains(file) || source.contains(&stem), "{setting:?}: {value}");
        }
    }
}

#[test]
fn nginx_in_a_container_gets_everything_filled_in() {
    let compose = yaml("infra/compose.yaml");
    let script = list(&compose["services"]["nginx"]["command"])[0].as_str().unwrap().to_owned();
    let chart = read("infra/helm/roomlog/templates/proxy.yaml");
    for file in ["nginx.conf", "roomlog.conf"] {
        let template = read(&format!("infra/nginx/{file}"));
        assert_eq!(template, read(&format!("infra/helm/roomlog/files/{file}")), "{file} of the chart");
        for placeholder in template.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            let role = placeholder.replace('_', "-");
            if ROLES.contains(&role.as_str()) {
                assert!(script.contains(&format!("(upstream {placeholder} {role})")), "{placeholder}");
                assert!(chart.contains(&format!("\"{role}\"")), "{placeholder}");
            } else {
                assert!(script.contains(&format!("{{{{{placeholder}}}}}")), "{placeholder}");
                assert!(chart.contains(&format!("{{{{{placeholder}}}}}")), "{placeholder}");
            }
        }
    }
}

#[test]
fn the_image_is_built_from_named_versions_and_runs_as_nobody_special() {
    let text = read("infra/Dockerfile");
    for image in text.lines().filter_map(|line| line.strip_prefix("FROM ")) {
        assert_pinned(image.split(' ').next().unwrap(), "infra/Dockerfile");
    }
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split_once("channel = \"").unwrap().1.split('"').next().unwrap();
    assert!(text.contains(&format!("FROM rust:{version}-")), "rust-toolchain.toml names {version}");
    assert!(text.contains(&format!("RUSTUP_TOOLCHAIN={version} ")));
    assert!(text.contains("\nUSER 10001:10001\n") && text.contains("\nSTOPSIGNAL SIGTERM\n"));
    let listen = text.split_once("ROOMLOG_LISTEN=0.0.0.0:").unwrap().1.split([' ', '\n']).next().unwrap();
    assert!(
        text.contains(&format!("EXPOSE {listen}\n"))
            && text.contains(&format!("/dev/tcp/127.0.0.1/{listen} "))
    );
    assert!(health_paths().iter().any(|path| text.contains(&format!("GET {path} "))));
}

#[test]
fn the_chart_knows_every_role_and_probes_what_is_served() {
    let values = yaml("infra/helm/roomlog/values.yaml");
    assert_eq!(keys(&values["roles"]), BTreeSet::from(ROLES));
    assert_pinned(values["proxy"]["image"].as_str().unwrap(), "values.yaml");
    assert_eq!(yaml("infra/helm/roomlog/Chart.yaml")["appVersion"], env!("CARGO_PKG_VERSION"));
    let schema: serde_json::Value =
        serde_json::from_str(&read("infra/helm/roomlog/values.schema.json")).unwrap();
    for required in schema["required"].as_array().unwrap() {
        assert!(keys(&values).contains(required.as_str().unwrap()), "{required}");
    }
    let template = read("infra/helm/roomlog/templates/roles.yaml");
    let probes: Vec<_> = template.split("httpGet: {path: ").skip(1).collect();
    assert_eq!(probes.len(), 3);
    for probe in probes {
        let path = probe.split(',').next().unwrap();
        assert!(health_paths().contains(path), "{path}");
    }
    let settings = read("infra/helm/roomlog/templates/settings.yaml");
    for (setting, port) in [("ROOMLOG_LISTEN", "http"), ("ROOMLOG_INTERNAL_LISTEN", "internal")] {
        let line = settings.lines().find(|line| line.trim().starts_with(&format!("{setting}: "))).unwrap();
        let number = line.rsplit_once(':').unwrap().1;
        assert!(template.contains(&format!("{{name: {port}, containerPort: {number}}}")), "{setting}");
    }
    let grace = template.split_once("terminationGracePeriodSeconds: ").unwrap().1.lines().next().unwrap();
    let waits = template.split_once("[\"sleep\", \"").unwrap().1.split('"').next().unwrap();
    assert!(grace.parse::<u64>().unwrap() > stop_seconds() + waits.parse::<u64>().unwrap());
}

const EVERYTHING: [&str; 7] = [
    "ingress.enabled=true",
    "ingress.tlsSecretName=front",
    "metrics.serviceMonitor.enabled=true",
    "internalTls.certManager.enabled=true",
    "roles.query-api.autoscaling.enabled=true",
    "roles.query-api.settings.ROOMLOG_RATE_QUERIES=200",
    "proxy.trustedProxies={10.1.0.0/16,10.2.0.0/16}",
];

/// A Helm that was built from its Go module believes in a version that the chart is too new for.
const KUBERNETES: &str = "1.33.0";

#[test]
fn helm_renders_what_fits_together() {
    let Some(helm) = std::env::var_os("ROOMLOG_TEST_HELM").filter(|path| !path.is_empty()) else {
        eprintln!("skipped: ROOMLOG_TEST_HELM is not set");
        return;
    };
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&helm);
        command.args(arguments).current_dir(root().join("infra/helm"));
        for value in EVERYTHING {
            command.args(["--set", value]);
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {errors}\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["lint", "--strict", "roomlog"]);
    let rendered = run(&["template", "chat", "roomlog", "--namespace", "talk", "--kube-version", KUBERNETES]);
    assert_settings(&rendered, "the chart");
    assert!(!rendered.contains("{{"), "something is not filled in");
    let objects = documents(&rendered, "the chart");
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    assert_eq!(of_kind("Deployment").count(), ROLES.len() + 1);
    for kind in ["Ingress", "ServiceMonitor", "Certificate", "HorizontalPodAutoscaler", "NetworkPolicy"] {
        assert_eq!(of_kind(kind).count(), 1, "{kind}");
    }
    let selects = |selector: &Value, object: &Value| {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        keys(selector).into_iter().all(|key| selector[key] == labels[key]) && !keys(selector).is_empty()
    };
    for object in &objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let spec = &object["spec"];
        match object["kind"].as_str().unwrap() {
            "Service" => {
                let behind: Vec<_> =
                    of_kind("Deployment").filter(|it| selects(&spec["selector"], it)).collect();
                assert_eq!(behind.len(), 1, "service {name}");
            }
            "PodDisruptionBudget" => {
                let labels = &spec["selector"]["matchLabels"];
                assert_eq!(
                    of_kind("Deployment").filter(|it| selects(labels, it)).count(),
                    1,
                    "budget {name}"
                );
            }
            "Deployment" => {
                assert!(selects(&spec["selector"]["matchLabels"], object), "{name}");
                let pod = &spec["template"]["spec"];
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
                let volumes: BTreeSet<_> =
                    list(&pod["volumes"]).iter().map(|it| it["name"].as_str()).collect();
                for container in list(&pod["containers"]).iter().chain(list(&pod["initContainers"])) {
                    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
                    assert_pinned(container["image"].as_str().unwrap(), name);
                    for mount in list(&container["volumeMounts"]) {
                        assert!(volumes.contains(&mount["name"].as_str()), "{name}: {mount:?}");
                    }
                }
                let container = &list(&pod["containers"])[0];
                let ports: BTreeSet<_> =
                    list(&container["ports"]).iter().map(|it| it["name"].as_str()).collect();
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    let asked = ["httpGet", "tcpSocket"].map(|way| container[probe][way]["port"].as_str());
                    assert!(
                        asked.iter().flatten().all(|port| ports.contains(&Some(*port))),
                        "{name}: {probe}"
                    );
                }
            }
            _ => {}
        }
    }
}
