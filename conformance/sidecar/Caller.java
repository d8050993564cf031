import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;

/** Caller PROXY_HOST PROXY_PORT COUNT URL: calls by java.net.http through a proxy ("-": through none), and prints how often each answer came. */
class Caller {
  public static void main(String[] args) throws Exception {
    HttpClient.Builder builder = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10));
    if (!args[0].equals("-")) builder.proxy(ProxySelector.of(new InetSocketAddress(args[0], Integer.parseInt(args[1]))));
    HttpClient client = builder.build();
    Map<String, Integer> answers = new TreeMap<>();
    for (int i = 0; i < Integer.parseInt(args[2]); i++) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(args[3])).timeout(Duration.ofSeconds(20)).build();
      var response = client.send(request, BodyHandlers.ofString());
      String version = response.body().replaceAll("(?s).*\"version\": \"(\\w*)\".*", "$1");
      answers.merge(response.statusCode() + " " + version, 1, Integer::sum);
    }
    answers.forEach((answer, times) -> System.out.println(answer + ": " + times));
  }
}
