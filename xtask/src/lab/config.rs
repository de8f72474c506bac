//! The files of the lab: what Portcullis protects, and the server it protects.

use std::path::Path;

/// Where Portcullis serves its metrics, inside the host.
pub const ADMIN: &str = "127.0.0.1:9191";
/// Name of the socket for pushes in the folder of the lab.
pub const SOCKET: &str = "api.sock";

/// Port of the service that takes packets from anyone, up to a limit.
pub const FLOOD_PORT: u16 = 9000;
/// Packets per second and source that this service takes.
pub const FLOOD_RATE: u64 = 1000;
/// Packets it takes at once from a source that was silent.
pub const FLOOD_BURST: u64 = 200;

/// Policy of the lab. Lists start empty.
pub fn portcullis(socket: &Path, state: &Path) -> String {
    format!(
        r#"[[interface]]
name = "eth0"
mode = "native"

[policy]
mode = "enforce"

[lists.partners]
entries = []

[lists.blocked]
entries = []

[limits.requests]
packets = {{ rate = 5000, per = "1s", burst = 5000 }}

[limits.telemetry]
packets = {{ rate = {FLOOD_RATE}, per = "1s", burst = {FLOOD_BURST} }}

[services.web]
protocol = "tcp"
ports = [80]
allow = ["partners"]
deny = ["blocked"]
limit = "requests"

[services.telemetry]
protocol = "udp"
ports = [{FLOOD_PORT}]
limit = "telemetry"

[admin]
listen = "{ADMIN}"

[api]
socket = "{}"

[state]
directory = "{}"
"#,
        socket.display(),
        state.display()
    )
}

/// One nginx process that answers every request on port 80.
pub fn nginx(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 80;
        listen [::]:80;
        return 200 "hello from behind the portcullis\n";
    }}
}}
"#
    )
}
