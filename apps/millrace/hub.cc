// Models from the Hugging Face hub (org/repo) and ModelScope (ms://org/repo), kept in the layout of huggingface_hub's
// cache, so that both tools see each other's files: models--ORG--REPO/{blobs, snapshots/COMMIT, refs}.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "download.h"
#include "engine/memory_plan.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxListingBytes = size_t{64} << 20;
constexpr const char* kDefaultType = "Q4_K_M";

struct HubName {
  bool model_scope = false;
  std::string repo;  // org/name
  std::string type;  // after the colon; "" for none
};

struct RemoteFile {
  std::string name, sha256, git_sha1;
  int64_t size = -1;
};

struct Listing {
  std::string commit;
  std::vector<RemoteFile> files;
};

std::string Env(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsPathPart(const std::string& text) {
  return !text.empty() && text[0] != '.' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string::npos;
}

Result<HubName> ParseHubName(const std::string& text) {
  HubName name;
  name.model_scope = text.starts_with("ms://");
  std::string rest = name.model_scope ? text.substr(5) : text;
  if (const size_t colon = rest.find(':'); colon != std::string::npos) {
    name.type = rest.substr(colon + 1);
    rest.resize(colon);
  }
  const size_t slash = rest.find('/');
  if (slash == std::string::npos || !IsPathPart(rest.substr(0, slash)) || !IsPathPart(rest.substr(slash + 1))) {
    return InvalidArgument("{} is no file here and no hub name; expected org/repo, org/repo:TYPE or ms://org/repo",
                           text);
  }
  name.repo = rest;
  return name;
}

fs::path CacheDir() {
  if (const std::string cache = Env("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = Env("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  const std::string xdg = Env("XDG_CACHE_HOME");
  return (xdg.empty() ? fs::path(Env("HOME")) / ".cache" : fs::path(xdg)) / "huggingface" / "hub";
}

fs::path RepoDir(const HubName& name) {
  std::string folder = (name.model_scope ? "modelscope--" : "models--") + name.repo;
  folder.replace(folder.find('/'), 1, "--");
  return CacheDir() / folder;
}

std::string Endpoint(const HubName& name) {
  if (name.model_scope)
    return Env("MODELSCOPE_ENDPOINT").empty() ? "https://modelscope.cn" : Env("MODELSCOPE_ENDPOINT");
  return Env("HF_ENDPOINT").empty() ? "https://huggingface.co" : Env("HF_ENDPOINT");
}

std::string Token(const HubName& name) {
  if (name.model_scope) return Env("MODELSCOPE_API_TOKEN");
  if (const std::string token = Env("HF_TOKEN"); !token.empty()) return token;
  const fs::path home =
      Env("HF_HOME").empty() ? fs::path(Env("HOME")) / ".cache" / "huggingface" : fs::path(Env("HF_HOME"));
  Result<std::string> file = ReadFile((home / "token").string(), 4096);
  if (!file.ok()) return "";
  file->erase(std::remove_if(file->begin(), file->end(), ::isspace), file->end());
  return *file;
}

Result<Listing> FetchListing(const HubName& name) {
  const std::string url = name.model_scope
                              ? fmt::format("{}/api/v1/models/{}/repo/files?Recursive=true", Endpoint(name), name.repo)
                              : fmt::format("{}/api/models/{}/revision/main?blobs=true", Endpoint(name), name.repo);
  ASSIGN_OR_RETURN(const std::string text, HttpGet(url, Token(name), kMaxListingBytes));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  Listing listing;
  try {
    if (name.model_scope) {
      listing.commit = "master";
      for (const auto& file : json.at("Data").at("Files")) {
        if (file.value("Type", "blob") != "blob") continue;
        listing.files.push_back({file.at("Path"), file.value("Sha256", ""), "", file.value("Size", int64_t{-1})});
      }
    } else {
      listing.commit = json.at("sha");
      for (const auto& file : json.at("siblings")) {
        RemoteFile remote{file.at("rfilename"), "", file.value("blobId", ""), file.value("size", int64_t{-1})};
        if (file.contains("lfs") && file["lfs"].is_object()) remote.sha256 = file["lfs"].value("sha256", "");
        listing.files.push_back(remote);
      }
    }
  } catch (const nlohmann::json::exception&) {
    return DataLoss("{} did not answer with a file list", url);
  }
  for (const RemoteFile& file : listing.files) {
    const fs::path path(file.name);
    const bool climbs = std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
    if (path.is_absolute() || climbs) return DataLoss("{} lists a file named {}", url, file.name);
  }
  if (!IsPathPart(listing.commit)) return DataLoss("{} names no commit", url);
  return listing;
}

bool ContainsNoCase(const std::string& text, const std::string& part) {
  const auto equal = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), equal) != text.end();
}

bool IsGguf(const std::string& name) {
  return name.ends_with(".gguf");
}

// One quantisation of a repository of GGUF files (all parts of a split one), or weights, config and tokenizer of a
// safetensors repository.
Result<std::vector<RemoteFile>> ChooseFiles(const HubName& name, const Listing& listing) {
  std::vector<RemoteFile> chosen;
  const bool has_gguf =
      std::any_of(listing.files.begin(), listing.files.end(), [](const auto& f) { return IsGguf(f.name); });
  if (!has_gguf) {
    for (const RemoteFile& file : listing.files) {
      const bool wanted = file.name.ends_with(".safetensors") || file.name.ends_with(".json") ||
                          file.name.ends_with(".model") || file.name.ends_with(".txt") || file.name.ends_with(".jinja");
      if (wanted && file.name.find('/') == std::string::npos) chosen.push_back(file);
    }
    if (chosen.empty()) return NotFound("{} has neither .gguf nor .safetensors files", name.repo);
    return chosen;
  }
  const std::string type = name.type.empty() ? kDefaultType : name.type;
  std::string names;
  for (const RemoteFile& file : listing.files) {
    if (!IsGguf(file.name)) continue;
    names += (names.empty() ? "" : ", ") + file.name;
    if (ContainsNoCase(file.name, type)) chosen.push_back(file);
  }
  if (chosen.empty() && name.type.empty()) {
    for (const RemoteFile& file : listing.files) {
      if (IsGguf(file.name)) return std::vector<RemoteFile>{file};
    }
  }
  if (chosen.empty()) return NotFound("{} has no file of type {}; it has {}", name.repo, type, names);
  return chosen;
}

Status FetchFile(const HubName& name, const Listing& listing, const RemoteFile& file) {
  const fs::path repo = RepoDir(name);
  const std::string id = !file.sha256.empty() ? file.sha256 : file.git_sha1;
  const fs::path link = repo / "snapshots" / listing.commit / file.name;
  const fs::path blob = id.empty() ? link : repo / "blobs" / id;
  std::error_code error;
  fs::create_directories(link.parent_path(), error);
  fs::create_directories(blob.parent_path(), error);
  if (!fs::exists(blob)) {
    DownloadRequest request;
    request.url = name.model_scope
                      ? fmt::format("{}/models/{}/resolve/{}/{}", Endpoint(name), name.repo, listing.commit, file.name)
                      : fmt::format("{}/{}/resolve/{}/{}", Endpoint(name), name.repo, listing.commit, file.name);
    request.token = Token(name);
    request.path = blob.string();
    request.size = file.size;
    request.sha256 = file.sha256;
    request.git_sha1 = file.git_sha1;
    request.show_progress = true;
    RETURN_IF_ERROR(Download(request));
  }
  if (blob != link && !fs::exists(link)) {
    fs::remove(link, error);
    fs::create_symlink(fs::relative(blob, link.parent_path()), link, error);
    if (error) return Unavailable("cannot link {}: {}", link.string(), error.message());
  }
  return OkStatus();
}

// The stored model of a name: a .gguf file or the snapshot's folder; "" when there is none.
std::string FindStored(const HubName& name) {
  const Result<std::string> commit = ReadFile((RepoDir(name) / "refs" / "main").string(), 256);
  if (!commit.ok() || !IsPathPart(*commit)) return "";
  const fs::path snapshot = RepoDir(name) / "snapshots" / *commit;
  std::error_code error;
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot, error)) {
    const std::string file = entry.path().string();
    if (IsGguf(file) && (name.type.empty() || ContainsNoCase(entry.path().filename().string(), name.type)))
      found.push_back(file);
  }
  std::sort(found.begin(), found.end());
  if (!found.empty()) return found.front();
  return fs::exists(snapshot / "config.json") && name.type.empty() ? snapshot.string() : "";
}

Status Pull(const std::string& model) {
  ASSIGN_OR_RETURN(const HubName name, ParseHubName(model));
  ASSIGN_OR_RETURN(const Listing listing, FetchListing(name));
  ASSIGN_OR_RETURN(const std::vector<RemoteFile> files, ChooseFiles(name, listing));
  for (const RemoteFile& file : files) RETURN_IF_ERROR(FetchFile(name, listing, file));
  std::error_code error;
  fs::create_directories(RepoDir(name) / "refs", error);
  RETURN_IF_ERROR(WriteFileAtomic((RepoDir(name) / "refs" / "main").string(), listing.commit));
  std::printf("%s\n", FindStored(name).c_str());
  return OkStatus();
}

Status List() {
  std::error_code error;
  std::vector<std::string> lines;
  for (const auto& repo : fs::directory_iterator(CacheDir(), error)) {
    const std::string folder = repo.path().filename().string();
    const bool model_scope = folder.starts_with("modelscope--");
    if (!model_scope && !folder.starts_with("models--")) continue;
    std::string name = folder.substr(model_scope ? 12 : 8);
    if (const size_t dash = name.find("--"); dash != std::string::npos) name.replace(dash, 2, "/");
    int64_t bytes = 0;
    for (const auto& blob : fs::recursive_directory_iterator(repo.path(), error)) {
      if (blob.is_regular_file(error) && !blob.is_symlink(error)) bytes += static_cast<int64_t>(blob.file_size(error));
    }
    lines.push_back(fmt::format("{:>10}  {}{}", FormatBytes(bytes), model_scope ? "ms://" : "", name));
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  return OkStatus();
}

}  // namespace

Result<std::string> ResolveModel(const std::string& model) {
  if (model.starts_with("synth:") || fs::exists(model)) return model;
  ASSIGN_OR_RETURN(const HubName name, ParseHubName(model));
  const std::string stored = FindStored(name);
  if (stored.empty()) return NotFound("{} is not here; get it with: millrace pull {}", model, model);
  return stored;
}

void AddPullCommand(CLI::App& app, int* exit_code) {
  auto model = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("pull", "Download a model from the Hugging Face hub or ModelScope");
  command->add_option("model", *model, "org/repo, org/repo:Q4_K_M, or ms://org/repo")->required();
  command->callback([=] { *exit_code = ReportStatus(Pull(*model)); });
}

void AddLsCommand(CLI::App& app, int* exit_code) {
  CLI::App* command = app.add_subcommand("ls", "List the models that pull stored, and their sizes");
  command->callback([=] { *exit_code = ReportStatus(List()); });
}

}  // namespace millrace
