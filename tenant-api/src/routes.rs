//! Which paths there are, and with which methods: read off the OpenAPI documents, so that
//! an answer about a path cannot differ from its documentation.

use utoipa::openapi::PathItem;

use crate::Documents;

/// The paths of the documents.
#[derive(Debug, Clone)]
pub(crate) struct Routes(Vec<(Vec<String>, String)>);

/// In the order in which they are told.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

impl Routes {
    pub(crate) fn of(documents: &Documents) -> Self {
        let paths = documents.tenant.paths.paths.iter().chain(&documents.partner.paths.paths);
        let mut routes: Vec<_> = paths.map(|(path, item)| (segments(path), methods(item))).collect();
        // Some client libraries leave the version out of the Cloud API's paths.
        let without_version: Vec<_> = routes
            .iter()
            .filter(|(path, _)| path.first().is_some_and(|first| first == "{version}"))
            .map(|(path, methods)| (path[1..].to_vec(), methods.clone()))
            .collect();
        routes.extend(without_version);
        Self(routes)
    }

    /// The methods of the route that `path` belongs to, as in an `Allow` header.
    pub(crate) fn methods(&self, path: &str) -> Option<String> {
        let asked = segments(path);
        let matches = |route: &[String]| {
            route.len() == asked.len()
                && route.iter().zip(&asked).all(|(route, asked)| match route.as_str() {
                    "{version}" => asked.strip_prefix('v').is_some_and(|rest| rest.contains('.')),
                    "{phone_number_id}" | "{waba_id}" | "{node_id}" | "{media_id}" => is_number(asked),
                    "{app_id}" => asked == "app" || is_number(asked),
                    "{upload_id}" => asked.starts_with("upload:"),
                    parameter if parameter.starts_with('{') => !asked.is_empty(),
                    text => text == asked,
                })
        };
        // One path may be several routes, each with methods of its own: an id says by its form what it is of.
        let found: Vec<&str> =
            self.0.iter().filter(|(route, _)| matches(route)).flat_map(|(_, methods)| methods.split(", ")).collect();
        let known = METHODS.iter().filter(|method| found.contains(method)).copied().collect::<Vec<_>>().join(", ");
        (!known.is_empty()).then_some(known)
    }
}

fn is_number(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(ToOwned::to_owned).collect()
}

fn methods(item: &PathItem) -> String {
    let known = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    known.iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_document_only() {
        let routes = Routes::of(&crate::openapi());
        for path in ["/v24.0/106540352242922/messages", "/106540352242922/messages"] {
            assert_eq!(routes.methods(path).as_deref(), Some("POST, PUT"), "{path}");
        }
        assert_eq!(routes.methods("/v1/messages").as_deref(), Some("GET, POST"));
        assert_eq!(routes.methods("/v1/messages/wamid.x").as_deref(), Some("GET, PATCH"));
        assert_eq!(routes.methods("/oauth/token").as_deref(), Some("POST"));
        assert_eq!(routes.methods("/partner/v1/businesses").as_deref(), Some("GET, POST"));
        for path in ["/", "/v1", "/v1/nothing", "/v24/1/messages", "/v24.0/x/messages", "/v1/messages/"] {
            assert_eq!(routes.methods(path), None, "{path}");
        }
    }
}
