import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static java.nio.charset.StandardCharsets.UTF_8;

/** The stock, with the JDK alone. It knows nothing of a mesh: it is told of a proxy, as any program is. */
public class Stock {
  static final Map<String, String> ENV = System.getenv();
  static final HttpClient CLIENT = client();

  static HttpClient client() {
    HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5));
    String proxy = ENV.getOrDefault("HTTP_PROXY", "");
    if (!proxy.isEmpty()) {
      URI uri = URI.create(proxy);
      builder.proxy(ProxySelector.of(new InetSocketAddress(uri.getHost(), uri.getPort())));
    }
    return builder.build();
  }

  public static void main(String[] args) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(ENV.get("PORT"))), 128);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/hello", exchange -> {
      String peer = exchange.getRequestHeaders().getFirst("x-weft-peer");
      answer(exchange, object(Map.of("service", ENV.get("WEFT_SERVICE"), "version", ENV.getOrDefault("WEFT_VERSION", ""),
          "language", "Java", "peer", peer == null ? "" : peer)));
    });
    server.createContext("/call", exchange -> {
      Map<String, String> query = new TreeMap<>();
      for (String pair : exchange.getRequestURI().getRawQuery().split("&")) {
        String[] parts = pair.split("=", 2);
        query.put(parts[0], URLDecoder.decode(parts[1], UTF_8));
      }
      answer(exchange, call(query.get("to"), query.getOrDefault("path", "/hello"), Integer.parseInt(query.getOrDefault("count", "1"))));
    });
    server.start();
  }

  static String call(String to, String path, int count) {
    Map<String, Integer> statuses = new TreeMap<>();
    Map<String, Integer> versions = new TreeMap<>();
    TreeSet<String> peers = new TreeSet<>();
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + to + ".weft" + path)).timeout(Duration.ofSeconds(10)).build();
    for (int i = 0; i < count; i++) {
      int status = 0;
      try {
        HttpResponse<String> response = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        status = response.statusCode();
        if (status == 200) {
          versions.merge(field(response.body(), "version"), 1, Integer::sum);
          peers.add(field(response.body(), "peer"));
        }
      } catch (IOException | InterruptedException error) {
        status = 0;
      }
      statuses.merge(String.valueOf(status), 1, Integer::sum);
    }
    String list = peers.stream().map(Stock::quoted).collect(Collectors.joining(","));
    return "{\"statuses\":" + numbers(statuses) + ",\"versions\":" + numbers(versions) + ",\"peers\":[" + list + "]}";
  }

  /** A text field of flat JSON. */
  static String field(String json, String name) {
    Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"([^\"]*)\"").matcher(json);
    return found.find() ? found.group(1) : "";
  }

  static String quoted(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }

  static String object(Map<String, String> fields) {
    return fields.entrySet().stream().map(entry -> quoted(entry.getKey()) + ":" + quoted(entry.getValue())).collect(Collectors.joining(",", "{", "}"));
  }

  static String numbers(Map<String, Integer> fields) {
    return fields.entrySet().stream().map(entry -> quoted(entry.getKey()) + ":" + entry.getValue()).collect(Collectors.joining(",", "{", "}"));
  }

  static void answer(HttpExchange exchange, String body) throws IOException {
    byte[] bytes = body.getBytes(UTF_8);
    exchange.getResponseHeaders().set("content-type", "application/json");
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }
}
