// A seed in, a PNG file out, from a Ganfoundry server's HTTP. For Unity, .NET and Mono: C# 6, no packages.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Http;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

/// <summary>What went wrong, in one line.</summary>
public sealed class GanfoundryException : Exception
{
    public GanfoundryException(string message) : base(message) { }
}

/// <summary>Asks one server for assets. Keep one and use it from any thread; dispose of it at the end.</summary>
public sealed class GanfoundryClient : IDisposable
{
    const string JsonLength = "Inference-Header-Content-Length";

    readonly HttpClient http = new HttpClient { Timeout = TimeSpan.FromSeconds(60) };
    readonly string url;

    public GanfoundryClient(string url = "http://127.0.0.1:8000")
    {
        this.url = url.TrimEnd('/');
    }

    /// <summary>The PNG file of a seed.</summary>
    /// <param name="model">Its name, without the _png.</param>
    /// <param name="label">A class by its name, for models that have some.</param>
    public async Task<byte[]> AssetAsync(string model, uint seed, float? truncation = null, string label = null)
    {
        var inputs = new List<string> { Tensor("seed", "INT64", Number(seed)) };
        if (label != null) inputs.Add(Tensor("class", "BYTES", Quoted(label)));
        if (truncation.HasValue) inputs.Add(Tensor("truncation", "FP32", Number(truncation.Value)));
        // As JSON, the bytes of a file would be taken for text: ask for them as they are.
        var outputs = "{\"name\": \"png\", \"parameters\": {\"binary_data\": true}}";
        var text = "{\"inputs\": [" + string.Join(", ", inputs) + "], \"outputs\": [" + outputs + "]}";
        var address = url + "/v2/models/" + Uri.EscapeDataString(model) + "_png/infer";
        try
        {
            using (var body = new StringContent(text, Encoding.UTF8, "application/json"))
            using (var answer = await http.PostAsync(address, body).ConfigureAwait(false))
            {
                var content = await answer.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
                if (!answer.IsSuccessStatusCode) throw new GanfoundryException(Said(content, (int)answer.StatusCode));
                return FirstFile(content, Header(answer));
            }
        }
        catch (HttpRequestException)
        {
            throw new GanfoundryException("no server answers at " + url + ": start one with 'serve'");
        }
        catch (TaskCanceledException)
        {
            throw new GanfoundryException("the server at " + url + " did not answer in time");
        }
    }

    public void Dispose()
    {
        http.Dispose();
    }

    static string Tensor(string name, string type, string value)
    {
        return "{\"name\": \"" + name + "\", \"datatype\": \"" + type + "\", \"shape\": [1, 1], \"data\": [" + value + "]}";
    }

    static string Number(IFormattable value)
    {
        return value.ToString(null, CultureInfo.InvariantCulture);
    }

    // As JSON has it: no control characters, quotes or backslashes.
    static string Quoted(string text)
    {
        return "\"" + Regex.Replace(text, "[\\p{Cc}\"\\\\]", found => "\\u" + ((int)found.Value[0]).ToString("x4")) + "\"";
    }

    static int Header(HttpResponseMessage answer)
    {
        IEnumerable<string> values;
        int length;
        var found = answer.Headers.TryGetValues(JsonLength, out values) || answer.Content.Headers.TryGetValues(JsonLength, out values);
        return found && int.TryParse(values.First(), out length) ? length : 0;
    }

    // JSON, then for each file its length in four bytes, the lowest first, and itself.
    static byte[] FirstFile(byte[] content, int jsonLength)
    {
        if (jsonLength <= 0 || jsonLength > content.Length - 4)
            throw new GanfoundryException("the server did not answer with a file");
        int length = 0;
        for (int i = 3; i >= 0; i--) length = length << 8 | content[jsonLength + i];
        if (length < 0 || length > content.Length - jsonLength - 4)
            throw new GanfoundryException("the server's answer was cut short");
        var file = new byte[length];
        Array.Copy(content, jsonLength + 4, file, 0, length);
        return file;
    }

    static string Said(byte[] content, int status)
    {
        var found = Regex.Match(Encoding.UTF8.GetString(content), "\"error\": *\"(.*)\"}");
        return found.Success ? found.Groups[1].Value : "the server answered " + status;
    }
}
