// Shows the OpenAPI document of this server. Whoever logs in here has its token used for what follows;
// it is forgotten with the page.
const page = SwaggerUIBundle({
  url: "../v1/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  responseInterceptor: (response) => {
    const path = new URL(response.url, location.href).pathname;
    if (response.status === 201 && /\/v1\/sessions(\/refresh)?$/.test(path)) {
      page.preauthorizeApiKey("access_token", JSON.parse(response.text).access_token);
    }
    return response;
  },
});
